"""Rounds: the checksum of their images, and errors of other processes."""

from __future__ import annotations

import importlib.util

import pytest

if importlib.util.find_spec("ray") is None:
    pytest.skip("needs speciesnet[ray]", allow_module_level=True)

from ray.exceptions import RayTaskError, WorkerCrashedError

from speciesnet.errors import ClusterError, InputError
from speciesnet.run.distributed.rounds import checksum, original_errors


def test_checksum_does_not_depend_on_the_order_of_the_images() -> None:
    assert checksum(["/a", "/b", "/\udcff"]) == checksum(["/\udcff", "/a", "/b"])
    assert checksum(["/a", "/b"]) != checksum(["/a", "/a"])  # one is lost, another repeated
    assert checksum(["/a", "/b"]) != checksum(["/a", "/b", "/b"])
    assert checksum(["/a", "/b"]) != checksum(["/a"])


def failed(cause: Exception) -> RayTaskError:
    """An error as Ray passes it on through two processes."""
    inner = RayTaskError("read", "Traceback ...", cause)
    return RayTaskError("do_round", "Traceback ...", inner).as_instanceof_cause()


def test_error_of_another_process_is_one_sentence() -> None:
    with pytest.raises(InputError) as caught, original_errors():
        raise failed(InputError("The file is gone.\nray::read() (pid=1)"))
    assert str(caught.value) == "The file is gone."
    with pytest.raises(FileNotFoundError) as missing, original_errors():
        raise failed(FileNotFoundError(2, "No such file", "/a"))
    assert missing.value.filename == "/a"
    assert not isinstance(missing.value, RayTaskError)
    with pytest.raises(ClusterError, match="killed from outside"), original_errors():
        raise WorkerCrashedError
