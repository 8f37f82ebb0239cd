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

# What Ray itself tells on the terminal of the driver; errors are raised all the same.
_QUIET = {"RAY_DATA_LOG_LEVEL": "CRITICAL", "RAY_BACKEND_LOG_LEVEL": "fatal"}
CONNECT_SECONDS = 10.0


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Connects to a cluster, or starts one on this machine alone.

    Args:
        address: ``auto`` or ``HOST:PORT``; None takes what ``RAY_ADDRESS`` says, or starts one.

    Raises:
        InputError: There is no cluster at the address.
    """
    # Without "local", Ray would join whatever cluster it finds on this machine.
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    if address.startswith("ray://"):
        raise InputError(
            f"{address} is an address for Ray Client, which does not carry data; send the whole command "
            "with ray job submit, and leave --address out."
        )
    for name, level in _QUIET.items():
        os.environ.setdefault(name, level)
    if re.fullmatch(r".+:\d{1,5}", address):
        _check_reachable(address)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with _silence():
            ray.init(address=address, log_to_driver=False, logging_level=standard_logging.ERROR)
    except AuthenticationError as error:
        raise InputError(
            f"The Ray cluster at {address} asks for its token; set RAY_AUTH_MODE=token, and "
            "RAY_AUTH_TOKEN or ~/.ray/auth_token to that of the cluster."
        ) from error
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if address == "local":
            raise InputError(
                f"Ray cannot be started on this machine ({reason}); mend that, or take run_model, which "
                "needs no cluster."
            ) from error
        raise InputError(
            f"There is no Ray cluster at {address} ({reason}); check that it runs "
            "and that this machine has its token, or leave --address out."
        ) from error
    signal.signal(signal.SIGTERM, handler)  # ray.init puts its own there, which just ends
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Ray itself asks for minutes where nobody answers, and cannot be interrupted meanwhile."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"There is no Ray cluster at {address} ({error}); check that it runs, or leave --address out."
        ) from error


@contextmanager
def _silence() -> Iterator[None]:
    """Keeps off the terminal that Ray has found RAY_BACKEND_LOG_LEVEL; errors are raised all the same."""
    sys.stderr.flush()
    stderr = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
