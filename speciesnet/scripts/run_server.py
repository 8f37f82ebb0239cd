"""Serves predictions to other programs and to browsers: ``speciesnet server``."""

from __future__ import annotations

import functools
import re
import sys
from typing import TYPE_CHECKING

from speciesnet.constants import available_cpus
from speciesnet.errors import InputError, ModelError
from speciesnet.records import Record
from speciesnet.scripts import console, flags

if TYPE_CHECKING:
    from speciesnet.server.metrics import Metrics
    from speciesnet.server.pool import WorkerPool

PORT = flags.integer("port", 8000, "Port; 0 means any free port.", at_least=0, at_most=65535)
HOST = flags.Flag("host", "127.0.0.1", "Address; by default only this computer can connect.")
API_PATH = flags.Flag("api_path", "/predict", "URL path of predictions.")
EXTRA_FIELDS = flags.names("extra_fields", "Fields of an instance to copy into its record.")

PRECISION = flags.PRECISION.but(
    help="Numeric precision of the networks. auto: a lower one if speciesnet run has measured its "
    "errors on this machine, but fp32 for images whose answers it could change. int8: speciesnet prepare "
    "must have made the networks."
)
DEVICES = flags.names(
    "device",
    "cpu, cuda or mps; several devices, such as cuda:0,cuda:1, each get their own workers.",
)
WORKERS = flags.integer("workers_per_device", 1, "Processes per device; each loads the model.")

TIMEOUT = flags.number(
    "timeout",
    120.0,
    "Time limit for a response, in seconds. A worker that takes longer for a batch is replaced.",
    at_least=0.1,
)
BACKLOG = flags.integer("backlog", 256, "Maximum number of waiting images; more are rejected.")
MAX_IMAGE_MB = flags.number(
    "max_image_mb", 20.0, "Maximum size of an image or film.", at_least=0.001
)
MAX_BODY_MB = flags.number("max_body_mb", 64.0, "Maximum size of a request.", at_least=0.001)
MAX_FILM_SECONDS = flags.number("max_film_seconds", 60.0, "Longest film.", at_least=0.001)
MAX_INSTANCES = flags.integer("max_instances", 100, "Maximum number of images in a request.")

ALLOW_PATH = flags.text(
    "allow_path", "Comma-separated folders with images that requests may name; by default none."
)
ALLOW_URL = flags.names(
    "allow_url",
    "Hosts (images.example.org) and buckets (s3://survey) with images that requests may name; by "
    "default none, and never hosts in private networks.",
)
API_KEY_FILE = flags.text(
    "api_key_file", "Text file with one API key per line; every request must send one of them."
)
ALLOW_ANYONE = flags.switch("allow_anyone", "Serve other computers without an API key.")

USAGE = """\
Serves predictions to other programs, and a web page for uploading images.

  speciesnet server

Then POST instances to http://127.0.0.1:8000/predict, or open the address in a
browser. By default, only this computer can connect, and the server reads only
what a request contains, and nothing else from the disk or the web.
"""
TOPICS: console.Topics = {
    "web": ("where to serve", (PORT, HOST, API_PATH, EXTRA_FIELDS)),
    "safety": (
        "who may connect, and what may be read",
        (ALLOW_PATH, ALLOW_URL, API_KEY_FILE, ALLOW_ANYONE),
    ),
    "limits": (
        "time, waiting images and request sizes",
        (TIMEOUT, BACKLOG, MAX_IMAGE_MB, MAX_BODY_MB, MAX_FILM_SECONDS, MAX_INSTANCES),
    ),
    "films": ("which frames to examine", (flags.VIDEO_FPS, flags.MAX_FRAMES)),
    "boxes": (
        "which boxes get answers, and which answers",
        (*flags.BOXES, *flags.SITE, flags.THRESHOLDS),
    ),
    "model": (
        "which model, and what runs it",
        (
            *(flags.MODEL, flags.ENGINE, PRECISION, DEVICES, flags.THREADS),
            *(WORKERS, flags.BATCH_SIZE),
        ),
    ),
    "running": ("log", flags.LOG),
}
_API_PATH_FORM = re.compile(r"(/[A-Za-z0-9._-]+)+")
_MEGABYTE = 2**20


def main(values: flags.Values) -> None:
    """Checks the flags and serves."""
    _check(values)
    try:
        from speciesnet.server.app import PATHS, make_app
    except ImportError as error:
        raise InputError(
            f"The server needs extra packages: pip install 'speciesnet[server]' ({error})."
        ) from error
    from speciesnet.images.instances import split_paths
    from speciesnet.server.allowlist import Folders, Hosts
    from speciesnet.server.auth import ApiKeys, AuthMiddleware, is_loopback
    from speciesnet.server.listening import listen, serve
    from speciesnet.server.metrics import Metrics
    from speciesnet.server.requests import Limits, RequestParser
    from speciesnet.server.service import Service

    host, api_path = values[HOST], values[API_PATH]
    key_file = values[API_KEY_FILE]
    keys = ApiKeys(key_file) if key_file else None
    is_local = is_loopback(host)
    if not is_local and keys is None and not values[ALLOW_ANYONE]:
        raise InputError(
            f"--host {host} lets other computers connect; set keys with --api_key_file, or add "
            "--allow_anyone."
        )
    folders, hosts = Folders(split_paths(values[ALLOW_PATH] or "")), Hosts(values[ALLOW_URL])
    limits = Limits(
        body_bytes=int(values[MAX_BODY_MB] * _MEGABYTE),
        image_bytes=int(values[MAX_IMAGE_MB] * _MEGABYTE),
        images=values[MAX_INSTANCES],
    )
    metrics = Metrics()
    with listen(host, values[PORT]) as listener:
        service = Service(
            _pool(values, metrics),
            metrics,
            RequestParser(limits, values[EXTRA_FIELDS]),
            backlog=values[BACKLOG],
            timeout=values[TIMEOUT],
            folders=folders,
            hosts=hosts,
        )
        app = AuthMiddleware(
            make_app(service, api_path, needs_key=keys is not None),
            metrics,
            (*PATHS, api_path),
            keys=keys,
            local_only=is_local,
        )
        host, port = host.strip("[]"), listener.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        sys.stdout.write(f"Serving at http://{shown}:{port}/, predictions at {api_path}.\n")
        sys.stdout.flush()
        serve(app, service, listener)
    if service.pool.load_error is not None:
        raise ModelError(service.pool.load_error)


def _check(values: flags.Values) -> None:
    """Raises ``InputError`` for flags that are invalid or contradict each other."""
    from speciesnet.engines.select import engine_of_each_stage

    engine_of_each_stage(values[flags.ENGINE])
    reserved = ("/health", "/ready", "/metrics", "/openapi.json", "/static")
    path = values[API_PATH]
    if not _API_PATH_FORM.fullmatch(path) or path.startswith(reserved) or ".." in path:
        raise InputError(f"--api_path {path} cannot be used; use a path such as /predict.")
    for name in values[EXTRA_FIELDS]:
        if _is_reserved(name):
            raise InputError(f"--extra_fields {name} is already a field of records; leave it out.")
    if values[MAX_INSTANCES] > values[BACKLOG]:
        raise InputError(
            f"--max_instances {values[MAX_INSTANCES]} is larger than --backlog; increase "
            "--backlog to at least this number."
        )


def _is_reserved(field: str) -> bool:
    """Whether the server's records or instances have a field with this name."""
    # What a server's records never contain:
    absent = ("metadata", "orientation", "boxes_as_stored", "review", "counts", "box_review")
    return field == "image" or (field in Record.__annotations__ and field not in absent)


def _pool(values: flags.Values, metrics: Metrics) -> WorkerPool:
    """The worker processes, which load the model when the server starts."""
    from speciesnet.images.films import Sampling
    from speciesnet.run import Run
    from speciesnet.run.model import ModelOptions
    from speciesnet.server.pool import Worker, WorkerPool
    from speciesnet.server.worker import worker_main

    devices = [device for device in values[DEVICES] or [None] for _ in range(values[WORKERS])]
    threads = values[flags.THREADS]
    if threads is None and len(devices) > 1:
        threads = max(available_cpus() // len(devices), 1)
    run = Run(
        batch_size=values[flags.BATCH_SIZE],
        boxes=flags.selected_boxes(values),
        films=Sampling(values[flags.VIDEO_FPS], values[flags.MAX_FRAMES]),
        thresholds=flags.thresholds_of(values),
    )
    starters = [
        functools.partial(
            Worker,
            worker_main,
            ModelOptions(
                values[flags.MODEL],
                geofence=values[flags.GEOFENCE],
                species_list=values[flags.SPECIES_LIST],
                species_list_fill=values[flags.SPECIES_LIST_FILL],
                engine=values[flags.ENGINE],
                precision=values[PRECISION],
                device=device,
                threads=threads,
            ),
            run,
            values[MAX_FILM_SECONDS],
        )
        for device in devices
    ]
    return WorkerPool(
        starters, batch_size=values[flags.BATCH_SIZE], timeout=values[TIMEOUT], metrics=metrics
    )


COMMAND = console.Command(main, USAGE, topics=TOPICS)

if __name__ == "__main__":
    console.start(COMMAND)
