"""What a user should know about the input of a run: what was skipped, and which paths were matched."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from absl import logging

MAX_ENDINGS = 12  # in one sentence

VIDEO_ENDINGS = frozenset(
    [
        ".3gp",
        ".asf",
        ".avi",
        ".flv",
        ".insv",
        ".m2ts",
        ".m4v",
        ".mkv",
        ".mod",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".mts",
        ".vob",
        ".webm",
        ".wmv",
    ]
)
# Photographs in formats that are not searched for.
PHOTOGRAPH_ENDINGS = frozenset(
    [
        ".3fr",
        ".arw",
        ".avif",
        ".bmp",
        ".cr2",
        ".cr3",
        ".crw",
        ".dcr",
        ".dng",
        ".erf",
        ".gif",
        ".gpr",
        ".heic",
        ".heif",
        ".hif",
        ".iiq",
        ".j2k",
        ".jfi",
        ".jfif",
        ".jif",
        ".jp2",
        ".jpe",
        ".jxl",
        ".kdc",
        ".mrw",
        ".nef",
        ".nrw",
        ".orf",
        ".pef",
        ".raf",
        ".raw",
        ".rw2",
        ".rwl",
        ".sr2",
        ".srf",
        ".srw",
        ".x3f",
    ]
)


@dataclass
class Examples:
    """A number of files or folders of one kind.

    Attributes:
        count: How many there are.
        first: The first of them.
    """

    count: int = 0
    first: str = ""

    def add(self, path: str) -> None:
        """Counts one more."""
        self.first = self.first or path
        self.count += 1

    def add_all(self, more: Examples) -> None:
        """Counts all of another collection."""
        self.first = self.first or more.first
        self.count += more.count

    def sentence(self, one: str, many: str, advice: str = "") -> str:
        """States the number with an example; ``one`` and ``many`` are subject and predicate."""
        number = f"1 {one}" if self.count == 1 else f"{self.count:,} {many}"
        return f"{number}, such as {self.first}{advice}."


@dataclass
class InputNotes:
    """What was found in the input besides the images that a run gets.

    Attributes:
        system_folders: Hidden folders, and those that systems and programs make for themselves.
        hidden_files: Image files whose names start with a dot.
        linked_folders: Symbolic links to folders; they are not entered.
        unreadable_folders: Folders that could not be listed.
        empty_folders: Folders of the input that contain no image.
        other_files: Files without an image's extension, by ending in lower case.
        relocated: Paths found in the folder of the list that contains them.
        respelled: Paths found under another Unicode form of the name.
    """

    system_folders: Examples = field(default_factory=Examples)
    hidden_files: Examples = field(default_factory=Examples)
    linked_folders: Examples = field(default_factory=Examples)
    unreadable_folders: Examples = field(default_factory=Examples)
    empty_folders: Examples = field(default_factory=Examples)
    other_files: Counter[str] = field(default_factory=Counter)
    relocated: Examples = field(default_factory=Examples)
    respelled: Examples = field(default_factory=Examples)
    _spelling: dict[str, str] = field(default_factory=dict)
    _logged: set[str] = field(default_factory=set)

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
        number = "1 other file was" if count == 1 else f"{count:,} other files were"
        return f"{number} passed over: {self.endings}."

    def skipped(self) -> list[str]:
        """A sentence for each kind of folder or file that was skipped, without the other files."""
        search = "; give its path with --folders to search it"
        kinds = (
            (
                self.system_folders, "hidden or system folder was skipped",
                "hidden or system folders were skipped", search,
            ),
            (self.hidden_files, "hidden file was skipped", "hidden files were skipped", ""),
            (
                self.linked_folders, "linked folder was not entered",
                "linked folders were not entered", search,
            ),
            (
                self.unreadable_folders, "folder could not be read", "folders could not be read",
                "; its images are missing",
            ),
        )  # fmt: skip
        return [kind.sentence(*words) for kind, *words in kinds if kind.count]

    def lines(self) -> list[str]:
        """All that there is to know, one sentence each."""
        kinds = (
            (self.empty_folders, "of the folders contains no image", "of the folders contain no image"),
            (
                self.relocated, "path was found in the folder of its list",
                "paths were found in the folder of their list",
            ),
            (
                self.respelled, "path was found under another Unicode spelling",
                "paths were found under another Unicode spelling",
            ),
        )  # fmt: skip
        lines = [kind.sentence(*words) for kind, *words in kinds if kind.count]
        return [line for line in (*self.skipped(), *lines, self.other_files_sentence) if line]

    def log(self) -> None:
        """Logs the sentences that have not been logged yet."""
        is_harmless = not self.other_files.keys() & (VIDEO_ENDINGS | PHOTOGRAPH_ENDINGS)
        for line in self.lines():
            if line not in self._logged:
                self._logged.add(line)
                is_info = is_harmless and line == self.other_files_sentence
                logging.log(logging.INFO if is_info else logging.WARNING, "%s", line)
