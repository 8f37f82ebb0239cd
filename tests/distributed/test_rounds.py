"""A round: whether what comes back from a cluster is what was given to it."""

from __future__ import annotations

import importlib.util

import pytest

if importlib.util.find_spec("ray") is None:
    pytest.skip("needs speciesnet[ray]", allow_module_level=True)

from ray.exceptions import RayTaskError, WorkerCrashedError

from speciesnet.distributed.rounds import Checksum, plainly
from speciesnet.errors import InputError, SpeciesNetError


def checksum(*filepaths: str) -> Checksum:
    of = Checksum()
    of.add(filepaths)
    return of


def test_checksum_is_that_of_the_images_in_any_order() -> None:
    assert checksum("/a", "/b", "/\udcff") == checksum("/\udcff", "/a", "/b")
    assert checksum("/a", "/b") != checksum("/a", "/a")  # one is lost, another is there twice
    assert checksum("/a", "/b") != checksum("/a", "/b", "/b")
    assert checksum("/a", "/b") != checksum("/a")


def failed(cause: Exception) -> RayTaskError:
    """As Ray tells what another process has raised, seen through two of them."""
    inner = RayTaskError("read", "Traceback ...", cause)
    return RayTaskError("do_round", "Traceback ...", inner).as_instanceof_cause()


def test_mistake_in_another_process_is_one_sentence() -> None:
    with pytest.raises(InputError) as caught, plainly():
        raise failed(InputError("The file is gone.\nray::read() (pid=1)"))
    assert str(caught.value) == "The file is gone."
    with pytest.raises(FileNotFoundError) as missing, plainly():
        raise failed(FileNotFoundError(2, "No such file", "/a"))
    assert missing.value.filename == "/a"
    assert not isinstance(missing.value, RayTaskError)
    with pytest.raises(SpeciesNetError, match="ended from outside"), plainly():
        raise WorkerCrashedError
