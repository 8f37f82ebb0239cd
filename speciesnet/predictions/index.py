"""Where the records of a run are in its predictions file."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from speciesnet.predictions import layout
from speciesnet.predictions.ownership import Ownership
from speciesnet.predictions.tally import Tally
from speciesnet.records import Instance, Record, in_file
from speciesnet.records.failures import is_finished


@dataclass
class Scanned:
    """What a scan of a file finds besides offsets.

    Attributes:
        counts: The number of records of each image of the run.
        failed: The images of the run that failed.
        is_damaged: Whether a line is damaged.
    """

    counts: dict[str, int] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    is_damaged: bool = False


class Index:
    """The offsets of the records in a predictions file, by the positions of their instances.

    Args:
        instances: The images of the run, in order.
        positions: The positions of the instances of each image.
        start: The offset after the header of the file.
        replaced: Images whose records are not counted, because new records will replace them.

    Attributes:
        replaced: See above.
        offsets: The offset of each instance's record; -1 if it has none.
        others: The offsets of records whose images are not in the run.
        other: One of their images; "" if there are none.
        is_in_order: Whether the records are in the order of the instances.
        end: The offset after the last record.
        tally: Counts of the records.
    """

    def __init__(
        self,
        instances: Sequence[Instance],
        positions: Mapping[str, Sequence[int]],
        start: int,
        replaced: Iterable[str] = (),
    ) -> None:
        self._instances, self._positions = instances, positions
        self.replaced = frozenset(replaced)
        self.offsets = array("q", [-1]) * len(instances)
        self.others, self.other = array("q"), ""
        self.is_in_order, self._last_position = True, -1
        self.end = start
        self.tally = Tally()

    def scan(self, ownership: Ownership) -> Scanned:
        """Adds all records of a file in our own layout.

        Raises:
            OutputError: A record belongs to another run.
            MalformedRecordError: A record is malformed.
        """
        found = Scanned()
        with ownership.path.open("rb") as file:
            for offset, line in layout.record_lines(file):
                with in_file(ownership.name):
                    record, own = layout.split_line(line)
                if record is None:
                    # In a file that was cut off, only the last line is incomplete, and the next record
                    # overwrites it. Any other incomplete line is removed.
                    found.is_damaged = found.is_damaged or line.endswith(b"\n")
                    continue
                self._add_line(ownership.as_ours(record), offset, ownership, found)
                self.end = offset + line.index(own) + len(own)
                found.is_damaged = found.is_damaged or line.strip() not in (own, own + b",")
        return found

    def _add_line(self, record: Record, offset: int, ownership: Ownership, found: Scanned) -> None:
        filepath = record["filepath"]
        count = found.counts.get(filepath, 0)
        position = self.position_of(filepath, count)
        ownership.check_record(record, self.instance_at(position))
        if filepath in self.replaced:
            return
        if position is None:
            self.others.append(offset)
            self.other = self.other or filepath
            return
        found.counts[filepath] = count + 1
        if not is_finished(record):
            found.failed.add(filepath)
        self.add(record, position, offset)

    def add(self, record: Record, position: int, offset: int) -> None:
        """Notes the record of an instance."""
        self.is_in_order = self.is_in_order and position == self._last_position + 1
        self._last_position = position
        self.offsets[position] = offset
        self.tally.count(record)

    def position_of(self, filepath: str, count: int) -> int | None:
        """The position of a record's instance; None for an image that is not in the run.

        Args:
            filepath: The image.
            count: How many records of the image precede this one.
        """
        positions = self._positions.get(filepath)
        return None if positions is None else positions[count % len(positions)]

    def instance_at(self, position: int | None) -> Instance | None:
        """The instance at a position; None if the position is None."""
        return None if position is None else self._instances[position]

    def in_order(self) -> Iterable[int]:
        """All offsets in the order of the instances, followed by the others."""
        return itertools.chain(self.offsets, self.others)
