"""Reads PyTorch files as data: no pickled code is ever run.

Inert records, which keep their arguments, replace the classes and functions that a pickle refers to; a
pickle that refers to an unexpected name is refused.
"""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from speciesnet.errors import ModelError

# torch's list of allowed globals is shared by all threads, and both networks may load in parallel.
LOADING = threading.RLock()


class Record:
    """Replaces a pickled object: keeps its arguments and its state."""

    made_of: tuple[Any, ...]

    def __new__(cls, *args: Any, **kwargs: Any) -> Record:  # noqa: D102
        record = super().__new__(cls)
        record.made_of = args
        return record

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)

    @property
    def kind(self) -> str:
        """Name of the class that the record replaces."""
        return type(self).__name__

    def child(self, name: str) -> Any:
        """A submodule, or a plain attribute."""
        modules = self.__dict__.get("_modules", {})
        return modules[name] if name in modules else self.__dict__[name]

    def children(self) -> list[Record]:
        """The submodules, in order."""
        return list(self.__dict__["_modules"].values())

    def tensors(self, prefix: str = "") -> dict[str, Tensor]:
        """Parameters and buffers by their dotted names, as in a state dict.

        Raises:
            ValueError: A tensor claims more numbers than its storage has; a copy would fill memory.
        """
        found: dict[str, Tensor] = {}
        for table in ("_parameters", "_buffers"):
            for name, tensor in self.__dict__.get(table, {}).items():
                if tensor is not None:
                    if tensor.is_meta or tensor.nbytes > tensor.untyped_storage().nbytes():
                        raise ValueError(f"{prefix}{name} claims more numbers than it has")
                    found[prefix + name] = tensor.detach()
        for name, module in self.__dict__.get("_modules", {}).items():
            if module is not None:
                found |= module.tensors(f"{prefix}{name}.")
        return found


def globals_of(path: Path, what: str) -> list[str]:
    """Dotted names that a checkpoint's pickle refers to, without those of tensors.

    Raises:
        ModelError: The file is not a checkpoint.
    """
    try:
        with _safe_globals([]):
            return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception as error:  # pickles can be damaged in many ways
        raise _damaged(path, what, error) from error


@contextmanager
def _safe_globals(allowed: list[Any]) -> Iterator[None]:
    """Makes torch allow these globals and no others inside the context.

    Globals that other code of this process has allowed are restored afterward.
    """
    with LOADING:
        earlier = torch.serialization.get_safe_globals()
        torch.serialization.clear_safe_globals()
        try:
            with torch.serialization.safe_globals(allowed):
                yield
        finally:
            torch.serialization.clear_safe_globals()
            torch.serialization.add_safe_globals(earlier)


def check_archive(path: Path, what: str) -> None:
    """Verifies the checksums of a checkpoint, which torch does not; raises ``ModelError``."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except Exception as error:  # archives can be damaged in many ways
        raise _damaged(path, what, error) from error
    if damaged:
        raise _damaged(path, what, ValueError(f"the checksum of {damaged} in it is wrong"))


def read_records(path: Path, is_known: Callable[[str], bool], what: str) -> Any:
    """Loads a file, with records in place of its classes and functions.

    Args:
        path: The file.
        is_known: Whether a dotted name is allowed.
        what: Name of the file in error messages, such as "detector".

    Raises:
        ModelError: The file is damaged, or refers to a name that is not allowed.
    """
    check_archive(path, what)
    names = globals_of(path, what)
    if foreign := [name for name in names if not is_known(name)]:
        raise ModelError(
            f"The {what} {path} asks to run {', '.join(foreign)}, which no such file needs; it is "
            "refused: get the file again from a source that you trust."
        )
    try:
        stand_ins = [(type(name.rpartition(".")[2], (Record,), {}), name) for name in names]
        with _safe_globals(stand_ins):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickles can be damaged in many ways
        raise _damaged(path, what, error) from error


def _damaged(path: Path, what: str, error: Exception) -> ModelError:
    if not zipfile.is_zipfile(path):
        reason = "it is not a PyTorch checkpoint, or was not downloaded completely"
    else:
        reason = (
            f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'damaged'}"
        )
    return ModelError(f"The {what} {path} cannot be read ({reason}); download it again.")
