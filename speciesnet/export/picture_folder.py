"""A folder of pictures made from photographs, and a list of what each was made from."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from speciesnet.errors import OutputError, SkippedFileError
from speciesnet.files.atomic import ExclusiveLock, write_all, write_atomically
from speciesnet.files.paths import Parts

_MADE_BY = "speciesnet"


@dataclass(frozen=True)
class MadePicture:
    """A line of the list.

    Attributes:
        file: The path of the picture in the folder, with slashes.
        filepath: The photograph, as in the predictions.
        key: A digest of everything that the picture was made from.
        about: Further information for people and other programs.
    """

    file: str
    filepath: str
    key: str
    about: Mapping[str, object]


class PictureFolder:
    """Writes pictures, and continues where an earlier call with the same folder stopped.

    A picture is written atomically, after its line in the list. It contains its key as a
    comment, because lines may be lost in a power failure. Other files are neither overwritten nor
    removed. Use it as a context manager.

    Args:
        path: The folder; it is created if it does not exist.
        list_name: The name of the list.

    Attributes:
        removed: The number of pictures that ``finish`` has removed.

    Raises:
        OutputError: The folder contains other files, cannot be written, or is being written.
    """

    def __init__(self, path: str | os.PathLike[str], list_name: str) -> None:
        self._path = Path(path)
        self._list = self._path / list_name
        self._earlier = self._read()
        self._made: dict[str, MadePicture] = {}
        self._taken: dict[str, str] = {}  # photographs by the files made from them, in lower case
        self._mutex = threading.Lock()
        self._lock = ExclusiveLock(self._list, "another command", "pass a different folder")
        self._log: BinaryIO | None = None
        self.removed = 0

    def __enter__(self) -> PictureFolder:
        self._path.mkdir(parents=True, exist_ok=True)
        self._lock.__enter__()
        is_new = not self._list.exists()
        self._log = self._list.open("ab", buffering=0)
        if is_new:
            write_all(self._log, self._header())
        return self

    def __exit__(self, *_: object) -> None:
        if self._log is not None:
            self._log.close()
        self._lock.release()

    def _header(self) -> bytes:
        return _line({"made_by": _MADE_BY, "list": self._list.name})

    def _read(self) -> dict[str, MadePicture]:
        """The pictures in the list, without lines truncated by a crash."""
        if not self._path.exists():
            return {}
        if not self._path.is_dir():
            raise OutputError(f"--out {self._path} is not a folder. Pass a different name.")
        lines = self._list.read_bytes().splitlines(keepends=True) if self._list.is_file() else []
        if lines[:1] != [self._header()]:
            if any(self._path.iterdir()):
                raise OutputError(
                    f"The folder {self._path} contains other files. Pass an empty or new folder to "
                    "--out."
                )
            return {}
        found = {}
        for line in lines[1:]:
            try:
                values = json.loads(line)
                one = MadePicture(
                    **{name: values.pop(name) for name in ("file", "filepath", "key")}, about=values
                )
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
            # Only names inside the folder: the list may have been edited.
            if not {"", ".", ".."} & set(str(one.file).split("/")):
                found[one.file] = one
        return found

    def is_current(self, picture: MadePicture) -> bool:
        """Whether a picture exists already; if so, ``finish`` keeps it.

        Raises:
            SkippedFileError: The picture of another photograph has the same name.
        """
        with self._mutex:
            other = self._taken.setdefault(picture.file.casefold(), picture.filepath)
            if other != picture.filepath:
                raise SkippedFileError(f"the picture of {other} has the same name")
            earlier = self._earlier.get(picture.file)
            target = self._target(picture)
            if earlier is None or not target.is_file():
                is_same = _comment_of(target) == _comment(picture.key)
            else:
                is_same = earlier.key == picture.key
            if not is_same:
                return False
            self._made[picture.file] = picture
            return True

    def save(self, picture: MadePicture, image: Image.Image, quality: int) -> None:
        """Writes a picture for which ``is_current`` returned False.

        Raises:
            SkippedFileError: Another file has its name, or the name is too long.
            OSError: It cannot be written.
        """
        target = self._target(picture)
        try:
            if os.path.lexists(target):
                if picture.file not in self._earlier and not _is_made(target):
                    raise SkippedFileError(f"there is another file at {target}")
                # Made from different data: the list must not describe it as current.
                target.unlink(missing_ok=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            with self._mutex:
                assert self._log is not None
                write_all(self._log, _line_of(picture))
                self._earlier[picture.file] = picture  # another record may have the same photograph
            with write_atomically(target, fsync=False) as part:
                image.save(part, "JPEG", quality=quality, comment=_comment(picture.key))
            with self._mutex:
                self._made[picture.file] = picture
        except (FileExistsError, NotADirectoryError) as error:
            raise SkippedFileError(f"{target.parent} is not a folder") from error
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise SkippedFileError(f"{target} is too long for a name") from error
            raise

    def keep(self, filepath: str) -> None:
        """Keeps the earlier pictures of a photograph that cannot be read this time."""
        kept = {file: one for file, one in self._earlier.items() if one.filepath == filepath}
        with self._mutex:
            self._made |= kept

    def finish(self) -> None:
        """Removes listed pictures that were not kept or made again, and lists the remaining ones."""
        for file in self._earlier.keys() - self._made.keys():
            target = self._path / file
            if target.is_file():
                target.unlink()
                self.removed += 1
        made = (self._made[file] for file in sorted(self._made))  # whatever the threads' order
        there = [one for one in made if self._target(one).is_file()]
        with write_atomically(self._list) as part:
            part.write_bytes(self._header() + b"".join(map(_line_of, there)))

    def _target(self, picture: MadePicture) -> Path:
        return self._path / picture.file


def _comment(key: str) -> bytes:
    return f"{_MADE_BY} {key}".encode("ascii")


def _comment_of(path: Path) -> object:
    """The comment of a JPEG, or None."""
    try:
        with Image.open(path) as image:
            return image.info.get("comment")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None


def _is_made(path: Path) -> bool:
    comment = _comment_of(path)
    return isinstance(comment, bytes) and comment.startswith(_comment(""))


def joined(parts: Parts) -> str:
    """The parts of a path in the folder as ``MadePicture.file``."""
    return "/".join(parts)


def _line_of(picture: MadePicture) -> bytes:
    values = asdict(picture)
    about = values.pop("about")
    return _line({**values, **about})


def _line(values: Mapping[str, object]) -> bytes:
    return json.dumps(values).encode("ascii") + b"\n"
