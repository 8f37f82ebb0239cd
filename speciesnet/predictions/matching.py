"""Matches the names of images in files from elsewhere with the images of a run.

Such a file may name an image relative to a different folder, on a different drive or mount point, with
the other kind of slash, in a different letter case, or in a different normal form of Unicode.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from speciesnet.errors import InputError
from speciesnet.files.paths import Parts, split_path

SURE_PARTS = 2  # the last parts of a path that must be equal if the part before them is not

_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:|\w+://")


@dataclass
class Matches:
    """The images that names belong to.

    Attributes:
        paths: The image of the run by name.
        moved: Those whose folders differ, so that only the ends of the paths are equal.
    """

    paths: dict[str, str] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)


def match_names(
    names: Iterable[str],
    filepaths: Iterable[str],
    found: Collection[str],
    source: str,
    advice: str = "Make one run for each folder, or have MegaDetector write absolute paths",
) -> Matches:
    r"""Finds the images of a run that names in a file refer to, apart from exact matches.

    A name belongs to the image whose path ends with it. If no name in the file is found in this way,
    the images may have been moved as a whole: then a name and an image belong together if their paths
    share a long ending and their different beginnings are consistent with those of other pairs.
    Letter case is ignored only if there is no other match.

    Args:
        names: The names that are not among the images of the run.
        filepaths: The images of the run.
        found: The images that the file names exactly.
        source: The file, for messages.
        advice: How to make its names unambiguous, for messages.

    Raises:
        InputError: A name matches several images, or several names match one image.

    Example:
        >>> match_names(["D:\\survey\\a.jpg"], ["/mnt/survey/a.jpg"], [], "md.json").paths
        {'D:\\survey\\a.jpg': '/mnt/survey/a.jpg'}
    """
    return _Matching(list(dict.fromkeys(names)), list(filepaths), found, source, advice).run()


class _Matching:
    """One call of ``match_names``."""

    def __init__(
        self,
        names: list[str],
        filepaths: list[str],
        found: Collection[str],
        source: str,
        advice: str,
    ) -> None:
        self._names, self._filepaths, self._source = names, filepaths, source
        self._advice = advice
        self._exact = found
        self._matches = Matches()
        self._names_by_path: dict[str, str] = {}

    def run(self) -> Matches:
        for fold in (False, True):
            if left := self._left():
                self._match_whole_names(left, _Endings(self._filepaths, fold))
        names = [*self._exact, *self._matches.paths]
        found_kinds = {is_absolute(name) for name in names}
        moved: list[tuple[Parts, Parts]] = []
        for fold in (False, True):
            left = [n for n in self._left() if is_absolute(n) not in found_kinds]
            if left:
                self._match_moved_names(left, _Endings(self._filepaths, fold), moved)
        return self._matches

    def _left(self) -> list[str]:
        return [name for name in self._names if name not in self._matches.paths]

    def _match_whole_names(self, names: Sequence[str], endings: _Endings) -> None:
        claims: dict[str, str] = {}
        parts_by_name = {name: endings.folded(parts_of(name)) for name in names}
        for name, parts in sorted(parts_by_name.items(), key=lambda item: -len(item[1])):
            paths = endings.ending_with(parts)
            paths = [p for p in paths if endings.folded(parts_of(p)) == parts] or paths
            if len(paths) > 1 and not all(self._is_taken(p) or p in claims for p in paths):
                raise self._ambiguous(name, paths)
            if len(paths) != 1 or self._is_taken(paths[0]):
                continue
            other = claims.setdefault(paths[0], name)
            # The longer one counts.
            if other != name and len(parts_by_name[other]) == len(parts):
                raise self._claimed_twice(paths[0], name, other)
        self._accept(claims)

    def _match_moved_names(
        self, names: Sequence[str], endings: _Endings, moved: list[tuple[Parts, Parts]]
    ) -> None:
        """Accepts pairs of beginnings that do not contradict each other, those with long endings first.

        A name under a folder that was moved belongs to the image at the same place below its new
        location; an image with the same ending in another camera's folder is a different photograph.
        """
        groups: dict[tuple[Parts, Parts], dict[str, tuple[str, int]]] = defaultdict(dict)
        ambiguous: list[tuple[str, list[str], Parts]] = []
        for name in names:
            count, paths = endings.longest(parts_of(name))
            start = _folded(parts_of(name))[: -count or None]
            if len(paths) > 1 and count >= SURE_PARTS:
                ambiguous.append((name, paths, start))
            elif len(paths) == 1 and not self._is_taken(paths[0]):
                place = _folded(whole_parts_of(paths[0]))[:-count]
                groups[start, place][name] = paths[0], count
        claims: dict[str, tuple[int, str]] = {}
        for start, group in sorted(groups.items(), key=_evidence, reverse=True):
            sure = self._sure_pairs(group, len(names))
            if not sure or any(_contradict(start, other) for other in moved):
                continue
            moved.append(start)
            for name, (path, count) in sure.items():
                best, other = claims.get(path, (0, ""))
                if count == best:
                    raise self._claimed_twice(path, name, other)
                claims[path] = max((count, name), (best, other))
        for name, paths, start in ambiguous:
            # The last pass decides, because it may find longer endings.
            if endings.fold and not any(_is_inside(start, other) for other, _ in moved):
                raise self._ambiguous(name, paths)
        found = {path: name for path, (_, name) in claims.items()}
        self._accept(found)
        self._matches.moved.update({name: path for path, name in found.items()})

    def _sure_pairs(
        self, group: Mapping[str, tuple[str, int]], names: int
    ) -> dict[str, tuple[str, int]]:
        """The pairs of name and path that have enough in common."""
        # Many cameras share a single file name, but not a whole list of them.
        if len(group) == names == len(self._filepaths) and is_absolute(next(iter(group))):
            return dict(group)
        return {
            name: (path, count)
            for name, (path, count) in group.items()
            if count >= len(parts_of(path)) or (count >= SURE_PARTS and is_absolute(name))
        }

    def _is_taken(self, path: str) -> bool:
        return path in self._exact or path in self._names_by_path

    def _accept(self, claims: Mapping[str, str]) -> None:
        self._names_by_path.update(claims)
        self._matches.paths.update({name: path for path, name in claims.items()})

    def _ambiguous(self, name: str, paths: Sequence[str]) -> InputError:
        return InputError(
            f"{name} in {self._source} may be {paths[0]} or {paths[1]}. {self._advice}."
        )

    def _claimed_twice(self, path: str, name: str, other: str) -> InputError:
        return InputError(
            f"Both {other} and {name} in {self._source} may be {path}. Remove one of them. "
            f"{self._advice}."
        )


class _Endings:
    """Paths, sorted so that those with the same ending are adjacent.

    Args:
        filepaths: The paths.
        fold: Whether to ignore letter case.
    """

    def __init__(self, filepaths: Iterable[str], fold: bool) -> None:
        self.fold = fold
        self._keys = sorted((self._key(whole_parts_of(path)), path) for path in filepaths)

    def folded(self, parts: Parts) -> Parts:
        """The parts of a path in the form used for comparison."""
        return _folded(parts) if self.fold else parts

    def _key(self, parts: Parts) -> str:
        return "".join(f"{part}\0" for part in reversed(self.folded(parts)))

    def ending_with(self, parts: Parts) -> list[str]:
        """The paths that end with these parts."""
        return list(self._starting_with(self._key(parts))) if parts else []

    def longest(self, parts: Parts) -> tuple[int, list[str]]:
        """The most final parts that any path shares with these, and up to two paths that share them."""
        key = self._key(parts)
        place = bisect_left(self._keys, (key, ""))
        near = [other for other, _ in self._keys[max(place - 1, 0) : place + 1]]
        count = max((_common_parts(key, other) for other in near), default=0)
        if not count:
            return 0, []
        common = self._starting_with(self._key(parts[-count:]))
        return count, [path for _, path in zip(range(2), common, strict=False)]

    def _starting_with(self, key: str) -> Iterator[str]:
        place = bisect_left(self._keys, (key, ""))
        following = (self._keys[number] for number in range(place, len(self._keys)))
        return (path for _, path in takewhile(lambda item: item[0].startswith(key), following))


def is_absolute(path: str) -> bool:
    """Whether a path of any system, or a URL, starts at a root."""
    return _ABSOLUTE.match(path) is not None


def parts_of(path: str) -> Parts:
    """The folders of a path and its file name, in one normal form for all systems."""
    return split_path(unicodedata.normalize("NFC", path))


def whole_parts_of(path: str) -> Parts:
    """Like ``parts_of``, but with the current folder before a relative path."""
    return parts_of(path if is_absolute(path) else f"{Path.cwd()}/{path}")


def _folded(parts: Parts) -> Parts:
    return tuple(map(str.casefold, parts))


def _evidence(
    item: tuple[tuple[Parts, Parts], Mapping[str, tuple[str, int]]],
) -> tuple[int, int]:
    """The evidence for a move of folders: the longest common end, and the number of names."""
    _, group = item
    return max(count for _, count in group.values()), len(group)


def _common_parts(key: str, other: str) -> int:
    pairs = zip(key.split("\0")[:-1], other.split("\0")[:-1], strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _contradict(one: tuple[Parts, Parts], other: tuple[Parts, Parts]) -> bool:
    """Whether two moves of folders involve the same folder."""
    return any(_is_inside(a, b) or _is_inside(b, a) for a, b in zip(one, other, strict=True))


def _is_inside(parts: Parts, folder: Parts) -> bool:
    return len(parts) > len(folder) and parts[: len(folder)] == folder
