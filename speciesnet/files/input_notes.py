"""Notes for the user on the input of a run: what was skipped, and which paths were matched."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath

from absl import logging

MAX_ENDINGS = 12  # listed in one sentence

VIDEO_ENDINGS = frozenset({
    ".3gp", ".asf", ".avi", ".flv", ".insv", ".m2ts", ".m4v", ".mkv", ".mod", ".mov", ".mp4", ".mpeg",
    ".mpg", ".mts", ".vob", ".webm", ".wmv",
})  # fmt: skip
# Photographs in formats that are not searched for.
PHOTOGRAPH_ENDINGS = frozenset({
    ".3fr", ".arw", ".avif", ".bmp", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".gif", ".gpr",
    ".heic", ".heif", ".hif", ".iiq", ".j2k", ".jfi", ".jfif", ".jif", ".jp2", ".jpe", ".jxl", ".kdc",
    ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw",
    ".x3f",
})  # fmt: skip
_SEARCH = "; pass its path with --folders to search it"


def plural(number: int, one: str, many: str | None = None) -> str:
    """The singular of a noun or verb if the number is 1, otherwise the plural.

    Args:
        number: The number.
        one: The singular.
        many: The plural; by default, the singular with an s.
    """
    return one if number == 1 else many or f"{one}s"


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun; all messages with counts use this function or ``plural``.

    Examples:
        >>> counted(1, "image"), counted(12, "image"), counted(0, "box", "boxes")
        ('1 image', '12 images', '0 boxes')
    """
    return f"{number} {plural(number, one, many)}"


@dataclass
class Examples:
    """A number of files or folders of one kind.

    Attributes:
        one: The sentence for a single one, without the number.
        many: The sentence for several.
        advice: The end of the sentence, after an example.
        count: How many there are.
        first: The first of them.
    """

    one: str
    many: str
    advice: str = ""
    count: int = 0
    first: str = ""

    def add(self, path: str) -> None:
        """Counts one more."""
        self.first = self.first or path
        self.count += 1

    def add_all(self, more: Examples) -> None:
        """Adds the counts of another collection."""
        self.first = self.first or more.first
        self.count += more.count

    def __str__(self) -> str:
        """The number with an example; empty if there are none."""
        if not self.count:
            return ""
        found = plural(self.count, self.one, self.many)
        return f"{self.count:,} {found}, such as {self.first}{self.advice}."


class InputNotes:
    """What was found in the input besides the images that a run gets.

    Attributes:
        system_folders: Hidden folders, and folders that operating systems and programs create.
        hidden_files: Image files whose names start with a dot.
        linked_folders: Symbolic links to folders; they are not entered.
        linked_images: Symbolic links to images that are found under another path as well.
        unreadable_folders: Folders that could not be listed.
        empty_folders: Input folders that contain no images.
        other_files: Files without an image's extension, by ending in lower case.
        relocated: Paths found in the folder of the list that contains them.
        respelled: Paths found under another Unicode form of the name.
        repeated: Images that a list contains more than once, by each further time.
        half_placed: Images with one coordinate.
    """

    def __init__(self) -> None:
        self.system_folders = Examples(
            "hidden or system folder was skipped", "hidden or system folders were skipped", _SEARCH
        )
        self.hidden_files = Examples("hidden file was skipped", "hidden files were skipped")
        self.linked_folders = Examples(
            "linked folder was not entered", "linked folders were not entered", _SEARCH
        )
        self.linked_images = Examples(
            "link was skipped, because its image is found under another path",
            "links were skipped, because their images are found under other paths",
        )
        self.unreadable_folders = Examples(
            "folder could not be read", "folders could not be read", "; its images are missing"
        )
        self.empty_folders = Examples(
            "of the folders contains no image", "of the folders contain no image"
        )
        self.other_files: Counter[str] = Counter()
        self.relocated = Examples(
            "path was found in the folder of its list",
            "paths were found in the folder of their list",
        )
        self.respelled = Examples(
            "path was found under a different Unicode spelling",
            "paths were found under a different Unicode spelling",
        )
        self.repeated = Examples(
            "image is listed again, and has a separate record each time",
            "images are listed again, and have a separate record each time",
            ". Remove the repeated lines if that is not intended",
        )
        self.half_placed = Examples(
            "image has only a latitude or only a longitude, which is ignored",
            "images have only a latitude or only a longitude, which is ignored",
            ". Give both",
        )
        self.skipped_films = Examples("film was skipped", "films were skipped")
        self._spelling: dict[str, str] = {}
        self._logged: set[str] = set()

    def add_other_file(self, path: str) -> None:
        """Counts a file that is not an image."""
        ending = PurePosixPath(path).suffix
        self._spelling.setdefault(ending.lower(), ending)
        self.other_files[ending.lower()] += 1

    @property
    def videos(self) -> int:
        """The number of videos among the other files."""
        return sum(n for ending, n in self.other_files.items() if ending in VIDEO_ENDINGS)

    @property
    def endings(self) -> str:
        """The other files by ending, such as "2 .MP4, 1 .HEIC"."""
        order = sorted(self.other_files.items(), key=lambda item: (-item[1], item[0]))
        shown = [
            f"{n:,} {self._spelling[ending] or 'without an ending'}"
            for ending, n in order[:MAX_ENDINGS]
        ]
        if rest := sum(n for _, n in order[MAX_ENDINGS:]):
            shown.append(f"{rest:,} with other endings")
        return ", ".join(shown)

    @property
    def other_files_sentence(self) -> str:
        """How many other files there are; empty if there are none."""
        count = self.other_files.total()
        if not count:
            return ""
        were = plural(count, "other file was", "other files were")
        return f"{count:,} {were} skipped: {self.endings}."

    def skipped(self) -> list[str]:
        """A sentence for each kind of folder or file that was skipped, without the other files."""
        links = (self.linked_folders, self.linked_images)
        skipped = (self.system_folders, self.hidden_files, *links, self.unreadable_folders)
        sentences = map(str, skipped)
        return [sentence for sentence in sentences if sentence]

    def lines(self) -> list[str]:
        """All notes on the input, one sentence each."""
        lists = (self.relocated, self.respelled, self.repeated, self.half_placed)
        found = (self.empty_folders, *lists, self.skipped_films)
        others = map(str, found)
        return [line for line in (*self.skipped(), *others, self.other_files_sentence) if line]

    def log(self) -> None:
        """Logs the sentences that have not been logged yet."""
        is_harmless = not self.other_files.keys() & (VIDEO_ENDINGS | PHOTOGRAPH_ENDINGS)
        for line in self.lines():
            if line not in self._logged:
                self._logged.add(line)
                is_info = is_harmless and line == self.other_files_sentence
                logging.log(logging.INFO if is_info else logging.WARNING, "%s", line)
