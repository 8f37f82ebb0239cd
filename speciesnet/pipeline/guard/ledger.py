"""The finished images of a run that were processed in a lower precision, and their margins."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from absl import logging

from speciesnet.files.atomic import write_atomically
from speciesnet.pipeline.guard.bands import Evidence

ENDING = ".precision.jsonl"  # of the file next to the predictions


@dataclass
class Section:
    """The part of a ledger for the images that went through one pair of fast networks.

    Attributes:
        key: What the units depend on; see ``EvidenceCache.key``.
        evidence: The errors of the networks, which define the units; None if they have not been used.
        band: The margin up to which images are doubtful, as far as is known.
        reach: The margin up to which the margins of finished images are known.
        margins: The margins by path.
    """

    key: str
    evidence: Evidence | None = None
    band: float = 0.0
    reach: float = 0.0
    margins: dict[str, float] = field(default_factory=dict)

    @property
    def is_beyond_reach(self) -> bool:
        """Whether the band has become so wide that it may reach images whose margins are not known."""
        return self.band > self.reach

    def reached(self) -> Iterator[str]:
        """Yields the images that the band has reached since they were finished."""
        return (path for path, margin in self.margins.items() if margin < self.band)

    def header(self) -> dict[str, object]:
        """A line that starts or changes the section in the file."""
        evidence = asdict(self.evidence) if self.evidence else None
        return {"key": self.key, "evidence": evidence, "band": self.band, "reach": self.reach}


class Ledger:
    """The margins of images that a wider band could reach, stored on disk for later runs.

    Each pair of fast networks has a section, because margins and bands are in units of its errors. The
    file is deleted once the run is complete. Without it, for example after a disk failure, the images
    keep the answers that the band allowed at the time.

    Args:
        predictions: The predictions file; None keeps the margins in memory.
    """

    def __init__(self, predictions: Path | None = None) -> None:
        self._path = None if predictions is None else Path(f"{predictions}{ENDING}")
        self._sections: dict[str, Section] = {}
        self._last: Section | None = None  # the one at the end of the file, if this run wrote it
        if self._path is not None:
            self._read(self._path)

    def _read(self, path: Path) -> None:
        section: Section | None = None
        with suppress(OSError, ValueError), path.open(encoding="utf-8") as file:
            for line in file:
                with suppress(ValueError, KeyError, TypeError):  # cut off
                    found = json.loads(line)
                    if isinstance(found, dict):
                        section = self._with_header(found)
                    elif section is not None:
                        filepath, margin = found
                        section.margins[filepath] = float(margin)

    def _with_header(self, header: dict[str, Any]) -> Section:
        section = self.section(header["key"])
        if "evidence" in header:
            section.evidence = Evidence(**header["evidence"])
            section.band, section.reach = float(header["band"]), float(header["reach"])
        return section

    def section(self, key: str) -> Section:
        """The section of the networks with a key."""
        return self._sections.setdefault(key, Section(key))

    def set_band(self, section: Section, evidence: Evidence, band: float, reach: float) -> None:
        """Keeps the evidence and the band of a section, for a later run."""
        section.evidence, section.band, section.reach = evidence, band, reach
        self._write(section, [section.header()])

    def note(self, section: Section, margins: Mapping[str, float]) -> None:
        """Adds the margins of images, before their records are written."""
        section.margins |= margins
        self._write(section, list(margins.items()))

    def _write(self, section: Section, lines: list[object]) -> None:
        if self._path is None or not lines:
            return
        try:
            if self._last is None:  # from the start, without a line that was cut off
                with write_atomically(self._path, fsync=False) as part:
                    part.write_text(_text(self._all_lines(section)), encoding="utf-8")
            else:
                start = [] if self._last is section else [{"key": section.key}]
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(_text([*start, *lines]))
            self._last = section
        except OSError as error:
            logging.warning(
                "%s cannot be written (%s). If this run is interrupted, a later one cannot process "
                "its images again.",
                self._path,
                error.strerror or error,
            )
            self._path = None

    def _all_lines(self, last: Section) -> Iterator[object]:
        others = [one for one in self._sections.values() if one is not last]
        for section in (*others, last):
            if section.evidence is not None:
                yield section.header()
                yield from section.margins.items()

    @property
    def has_unsettled(self) -> bool:
        """Whether a band has reached finished images that have not been processed again."""
        return any(
            section.is_beyond_reach or next(section.reached(), None)
            for section in self._sections.values()
        )

    def reached(self, finished: Iterable[str]) -> list[str]:
        """The finished images that a wider band has reached."""
        sections = self._sections.values()
        if any(section.is_beyond_reach for section in sections):
            return list(finished)
        reached = {path for section in sections for path in section.reached()}
        return [path for path in finished if path in reached]

    def forget(self, filepath: str) -> None:
        """Removes an image that has been processed in float32."""
        for section in self._sections.values():
            section.margins.pop(filepath, None)

    def delete(self) -> None:
        """Deletes the file and forgets all sections, once the run is complete."""
        self._sections.clear()
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()


def _text(lines: Iterable[object]) -> str:
    return "".join(f"{json.dumps(line)}\n" for line in lines)
