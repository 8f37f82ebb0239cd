"""Worker processes without a model, for tests of the pool."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection

from speciesnet.server.worker import ImageTask, LoadFailed, Ready


def echo(connection: Connection, seconds: float = 0.0) -> None:
    """Returns records with the size of the batch; dies or hangs at a file named die or hang."""
    connection.send(Ready("stand-in"))
    while True:
        try:
            tasks: Sequence[ImageTask] | None = connection.recv()
        except EOFError:
            return
        if tasks is None:
            return
        names = [task.instance.filepath for task in tasks]
        if "die" in names:
            os._exit(1)
        if "hang" in names:
            time.sleep(1000)
        time.sleep(seconds)
        connection.send(
            [{"filepath": name, "batch": len(names), "pid": os.getpid()} for name in names]
        )


def load_failed(connection: Connection) -> None:
    connection.send(LoadFailed("The model is broken."))


def dies_at_start(connection: Connection) -> None:
    os._exit(1)
