"""Serves predictions to other programs, and a page to drop photographs on.

python -m speciesnet.scripts.run_server --model demo
"""

from __future__ import annotations

import functools
import re
import sys
from typing import TYPE_CHECKING, Any, cast

from absl import flags

from speciesnet.errors import InputError, ModelError
from speciesnet.machine import available_cpus
from speciesnet.packages.info import DEFAULT_MODEL
from speciesnet.scripts import console

if TYPE_CHECKING:
    from speciesnet.server.pool import Pool

_PORT = flags.DEFINE_integer(
    "port", 8000, "Port to serve on; 0 takes any that is free.", lower_bound=0, upper_bound=65535
)
_HOST = flags.DEFINE_string(
    "host", "127.0.0.1", "Address to serve on; by default only this computer can ask."
)
_API_PATH = flags.DEFINE_string("api_path", "/predict", "Path at which predictions are asked for.")
_EXTRA_FIELDS = flags.DEFINE_list(
    "extra_fields", [], "Fields of an instance that are carried over into its record."
)

_MODEL = flags.DEFINE_string("model", DEFAULT_MODEL, "Model package, as for run_model.")
_GEOFENCE = flags.DEFINE_bool(
    "geofence", True, "Roll species that do not live in the country up to a taxon that does."
)
_ENGINE = flags.DEFINE_string(
    "engine", "auto", "What runs the networks: auto, openvino, torch or tensorflow."
)
_PRECISION = flags.DEFINE_enum(
    "precision",
    "auto",
    ["auto", "fp32", "bf16", "fp16"],
    "Of the networks' numbers. auto: a lower one than fp32 where run_model has found that it decides the "
    "same.",
)
_DEVICE = flags.DEFINE_list(
    "device", [], "cpu, cuda, mps; several such as cuda:0,cuda:1 each get workers."
)
_THREADS = flags.DEFINE_integer(
    "threads",
    None,
    "Processor threads of a worker's networks; by default the workers share the cores.",
    lower_bound=1,
)
_WORKERS = flags.DEFINE_integer(
    "workers_per_device", 1, "Processes for each device; each loads the model.", lower_bound=1
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 8, "Images that a worker takes at once.", lower_bound=1
)

_TIMEOUT = flags.DEFINE_float(
    "timeout",
    120.0,
    "Seconds for the answer to a request. A worker that takes as long for a batch is replaced.",
    lower_bound=0.1,
)
_BACKLOG = flags.DEFINE_integer(
    "backlog", 256, "Images that may wait for an answer; more are refused.", lower_bound=1
)
_MAX_IMAGE_MB = flags.DEFINE_float("max_image_mb", 20.0, "Size of an image.", lower_bound=0.001)
_MAX_BODY_MB = flags.DEFINE_float("max_body_mb", 64.0, "Size of a request.", lower_bound=0.001)
_MAX_INSTANCES = flags.DEFINE_integer("max_instances", 100, "Images in a request.", lower_bound=1)

console.must_be_finite("timeout", "max_image_mb", "max_body_mb")

_ALLOW_PATH = flags.DEFINE_string(
    "allow_path",
    None,
    "Folders, comma-separated, that requests may name images of; none by default.",
)
_ALLOW_URL = flags.DEFINE_list(
    "allow_url",
    [],
    "Hosts (images.example.org) and buckets (s3://survey) that requests may name images of; none by "
    "default, and never hosts in private networks.",
)
_API_KEY_FILE = flags.DEFINE_string(
    "api_key_file", None, "Text file with one key a line, of which a request must bring one."
)
_ALLOW_ANYONE = flags.DEFINE_bool(
    "allow_anyone", False, "Serve to other computers without an API key."
)

USAGE = """\
Serves predictions to other programs, and a page to drop photographs on.

  python -m speciesnet.scripts.run_server

Then POST instances to http://127.0.0.1:8000/predict, or open the address in a
browser. Only this computer can, unless you say otherwise. It reads what comes
with a request, and nothing else from the disk or the web, unless you allow it.

"""
TOPICS = {
    "web": ("where to serve", ("port", "host", "api_path", "extra_fields")),
    "safety": (
        "who may ask, and what may be read",
        ("allow_path", "allow_url", "api_key_file", "allow_anyone"),
    ),
    "limits": (
        "of requests, of waiting, of time",
        ("timeout", "backlog", "max_image_mb", "max_body_mb", "max_instances"),
    ),
    "model": (
        "which model, and what runs it",
        (
            "model",
            "geofence",
            "engine",
            "precision",
            "device",
            "threads",
            "workers_per_device",
            "batch_size",
        ),
    ),
    "running": ("log", ("log_level", "version")),
}
_API_PATH_FORM = re.compile(r"(/[A-Za-z0-9._-]+)+")
_MEGABYTE = 2**20


def main() -> None:
    """Checks the flags, and serves."""
    _check_flags()
    try:
        from speciesnet.server.app import PATHS, make_app
    except ImportError as error:
        raise InputError(
            f"A server needs what is missing: pip install 'speciesnet[server]' ({error})."
        ) from error
    from speciesnet.server.access import ApiKeys, is_loopback
    from speciesnet.server.allowlist import Folders, Hosts
    from speciesnet.server.auth import Gate
    from speciesnet.server.http import listen, serve
    from speciesnet.server.limits import Limits
    from speciesnet.server.metrics import Meters
    from speciesnet.server.service import Service

    keys = ApiKeys(_API_KEY_FILE.value) if _API_KEY_FILE.value else None
    is_local = is_loopback(_HOST.value)
    if not is_local and keys is None and not _ALLOW_ANYONE.value:
        raise InputError(
            f"--host {_HOST.value} lets other computers ask; give keys with --api_key_file, or say "
            "--allow_anyone."
        )
    limits = Limits(
        body_bytes=int(_MAX_BODY_MB.value * _MEGABYTE),
        image_bytes=int(_MAX_IMAGE_MB.value * _MEGABYTE),
        images=_MAX_INSTANCES.value,
    )
    folders, hosts = Folders(_allowed_folders()), Hosts(_ALLOW_URL.value)
    meters = Meters()
    with listen(_HOST.value, _PORT.value) as listener:
        service = Service(
            _pool(meters),
            meters,
            limits=limits,
            backlog=_BACKLOG.value,
            timeout=_TIMEOUT.value,
            folders=folders,
            hosts=hosts,
            extra_fields=_EXTRA_FIELDS.value,
        )
        api_path = _API_PATH.value
        gate = Gate(
            make_app(service, api_path, wants_key=keys is not None),
            meters,
            (*PATHS, api_path),
            keys=keys,
            only_local=is_local,
        )
        host, port = _HOST.value.strip("[]"), listener.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        sys.stdout.write(f"Serving at http://{shown}:{port}/, predictions at {api_path}.\n")
        sys.stdout.flush()
        serve(gate, service, listener)
    if service.pool.failure is not None:
        raise ModelError(service.pool.failure)


def _check_flags() -> None:
    from speciesnet.engines.select import engine_of_each_stage

    engine_of_each_stage(_ENGINE.value)
    taken = ("/health", "/ready", "/metrics", "/openapi.json", "/static")
    path = _API_PATH.value
    if not _API_PATH_FORM.fullmatch(path) or path.startswith(taken) or ".." in path:
        raise InputError(f"--api_path {path} cannot be used; give one such as /predict.")
    for name in _EXTRA_FIELDS.value:
        if _is_taken(name):
            raise InputError(f"--extra_fields {name} is a field of its own; leave it out.")
    if _MAX_INSTANCES.value > _BACKLOG.value:
        raise InputError(
            f"--max_instances {_MAX_INSTANCES.value} is more than may wait; give a --backlog as large."
        )


def _is_taken(field: str) -> bool:
    """Whether records, or instances, have a field of that name."""
    from speciesnet.records import make_record

    if field in ("filepath", "failures", "image"):
        return True
    values: dict[str, Any] = {field: None}
    try:
        make_record("", (), **values)
    except TypeError:  # it knows no such field
        return False
    return True


def _allowed_folders() -> list[str]:
    from speciesnet.instances import split_paths

    return split_paths(_ALLOW_PATH.value) if _ALLOW_PATH.value else []


def _pool(meters: Any) -> Pool:
    from speciesnet.model import ModelOptions
    from speciesnet.server.pool import Pool, Worker
    from speciesnet.server.worker import work

    devices = _DEVICE.value or [None]
    count = _WORKERS.value * len(devices)
    threads = _THREADS.value
    if threads is None and count > 1:
        threads = max(available_cpus() // count, 1)
    workers = [
        functools.partial(
            Worker,
            work,
            ModelOptions(
                _MODEL.value,
                geofence=_GEOFENCE.value,
                engine=_ENGINE.value,
                precision=cast("Any", _PRECISION.value),
                device=device,
                threads=threads,
            ),
            _BATCH_SIZE.value,
        )
        for device in devices
        for _ in range(_WORKERS.value)
    ]
    return Pool(workers, batch_size=_BATCH_SIZE.value, timeout=_TIMEOUT.value, meters=meters)


def cli() -> None:
    """The console command."""
    sys.exit(console.run(main, sys.argv, lambda topic: console.topics_help(USAGE, TOPICS, topic)))


if __name__ == "__main__":
    cli()
