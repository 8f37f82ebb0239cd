"""The connection to a Ray cluster."""

from __future__ import annotations

import logging as standard_logging
import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import ray
from ray.exceptions import AuthenticationError

from speciesnet.errors import InputError

# Ray would print these on the driver's terminal; errors are raised anyway.
_QUIET = {"RAY_DATA_LOG_LEVEL": "CRITICAL", "RAY_BACKEND_LOG_LEVEL": "fatal"}
CONNECT_SECONDS = 10.0


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Connects to a cluster, or starts one on this machine, for as long as the context lasts.

    Args:
        address: ``auto`` or ``HOST:PORT``. None means the address in ``RAY_ADDRESS``, or a new cluster.

    Raises:
        InputError: There is no cluster at the address.
    """
    # Without "local", Ray would join any cluster that is running on this machine.
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    if address.startswith("ray://"):
        raise InputError(
            f"{address} is an address for Ray Client, which does not transfer data. Send the whole "
            "command with ray job submit, and leave --address out."
        )
    for name, level in _QUIET.items():
        os.environ.setdefault(name, level)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        if re.fullmatch(r".+:\d{1,5}", address):  # Ray itself tries for minutes, even after Ctrl-C
            host, _, port = address.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
        with _no_stderr():
            ray.init(address=address, log_to_driver=False, logging_level=standard_logging.ERROR)
    except AuthenticationError as error:
        raise InputError(
            f"The Ray cluster at {address} requires a token. Set RAY_AUTH_MODE=token, and "
            "RAY_AUTH_TOKEN or ~/.ray/auth_token to the cluster's token."
        ) from error
    except (OSError, RuntimeError, ValueError, OverflowError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if address == "local":
            raise InputError(
                f"Ray cannot be started on this machine ({reason}). Fix the cause, or use run_model, "
                "which needs no cluster."
            ) from error
        raise InputError(
            f"There is no Ray cluster at {address} ({reason}). Check that it is running and that this "
            "machine has its token, or leave --address out."
        ) from error
    signal.signal(signal.SIGTERM, handler)  # ray.init installs one that exits without a message
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _no_stderr() -> Iterator[None]:
    """Hides Ray's notice that RAY_BACKEND_LOG_LEVEL is set; errors are raised anyway."""
    sys.stderr.flush()
    stderr = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)
