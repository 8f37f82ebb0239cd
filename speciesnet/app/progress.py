"""The progress of a run, from the records that it has appended to its predictions file."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from speciesnet.app.logs import tail
from speciesnet.ensemble.taxonomy import BLANK, UNKNOWN, category_of, split_label
from speciesnet.errors import OutputError
from speciesnet.records import Record, still_of

STEP_BYTES = 2**21  # read at a time, in about 20 ms
LATEST = 24
KEPT = 200  # records whose pictures can still be requested
MAX_SPECIES = 100
MAX_FAILED = 200  # paths kept
RATE_SECONDS = 60.0
PICTURE_SECONDS = 1.0  # between two new pictures of a run, which needs the processor itself
_LOG_LINES = 2000
_CANNOT_READ = re.compile(r"Cannot read \w+ (.+): (.+)\.$")


@dataclass(frozen=True)
class Shown:
    """A record that pages show with a picture.

    Attributes:
        number: Its position in the file.
        record: The record, without the classifier's classes.
    """

    number: int
    record: Record

    def as_json(self, address: str) -> dict[str, object]:
        """The record as sent to pages; ``address`` is the address of its survey's pictures."""
        label = self.record.get("prediction") or ""
        path, parts = self.record["filepath"], split_label(label)
        return {
            "number": self.number,
            "name": path.replace("\\", "/").rpartition("/")[2],
            "path": path,
            "label": label,
            "category": category_of(label) if label else UNKNOWN,
            "answer": parts.name,
            "latin": parts.scientific_name,
            "score": self.record.get("prediction_score"),
            "boxes": len(self.record.get("detections") or ()),
            "failed": bool(self.record.get("failures")),
            "thumb": f"{address}/{self.number}.jpg?v={abs(hash(path)) % 10**8}",
        }


class Follower:
    """Counts the records in a predictions file, reading only what is new.

    Args:
        path: The file; it need not exist yet.

    Attributes:
        done: The number of records.
        failed: How many of them failed.
        is_behind: Whether there is more to read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.Lock()
        self._reset()
        self._identity: tuple[int, int] | None = None

    def _reset(self) -> None:
        self.done = self.failed = self._offset = 0
        self.is_behind = True
        self._step = STEP_BYTES
        self._labels: Counter[str] = Counter()
        self._shown: deque[Shown] = deque(maxlen=KEPT)
        self._picked: deque[Shown] = deque(maxlen=LATEST)
        self._picked_at = -PICTURE_SECONDS
        self._failures: deque[str] = deque(maxlen=MAX_FAILED)
        self._samples: deque[tuple[float, int]] = deque()

    def restart_clock(self) -> None:
        """Resets the measured speed."""
        with self.lock:
            self._samples.clear()

    def advance(self) -> None:
        """Reads the next part of the file, if there is one."""
        import speciesnet.predictions.reading  # noqa: F401 (NumPy takes long; no page waits for it)

        with self.lock:
            try:
                facts = self.path.stat()
            except OSError:
                self._reset()
                self.is_behind = False
                return
            identity = (facts.st_dev, facts.st_ino)
            if identity != self._identity or facts.st_size < self._offset:
                self._reset()  # a run that continues may rewrite the file
                self._identity = identity
            self.is_behind = self._offset < facts.st_size and self._read()
            if not self.is_behind:
                moment = time.monotonic()
                if len(self._samples) == 1 and self._samples[0][1] == self.done:
                    self._samples.clear()  # the model is still being loaded
                self._samples.append((moment, self.done))
                while moment - self._samples[0][0] > RATE_SECONDS:
                    self._samples.popleft()

    def _read(self) -> bool:
        """Reads the next part; returns whether there may be more."""
        from speciesnet.predictions.layout import decode_line, has_own_layout  # with NumPy
        from speciesnet.predictions.reading import read_as_written

        if self._offset == 0 and not has_own_layout(self.path):
            for record in read_as_written(self.path):  # from another program, so it does not grow
                self._add(record)
            self._offset = self.path.stat().st_size
            return False
        with self.path.open("rb") as file:
            file.seek(self._offset)
            data = file.read(self._step)
        start = place = self._offset
        for line in data[: data.rfind(b"\n") + 1].splitlines(keepends=True):
            own = line.strip().removesuffix(b",")
            if own not in (b"", b"]}") and (record := decode_line(own)) is not None:
                self._add(record)
                # The comma and the brackets after it are overwritten by the next record.
                self._offset = place + line.index(own) + len(own)
            place += len(line)
        is_full = len(data) == self._step
        is_short = is_full and self._offset == start  # a film's record may be longer than a step
        self._step = 2 * self._step if is_short else STEP_BYTES
        return is_full

    def _add(self, record: Record) -> None:
        from speciesnet.predictions.format5 import from_format5, is_format5

        if is_format5(record):
            record = from_format5(record)
        number, self.done = self.done, self.done + 1
        label = record.get("prediction")
        if record.get("failures"):
            self.failed += 1
            self._failures.append(record["filepath"])
        if not label:
            return
        self._labels[label] += 1
        if category_of(label) not in (BLANK, UNKNOWN):
            kept = {
                key: value for key, value in still_of(record).items() if key != "classifications"
            }
            self._shown.append(Shown(number, cast("Record", kept)))

    def record(self, number: int) -> Record | None:
        """A record whose picture may be shown."""
        with self.lock:
            shown = (*self._picked, *self._shown)
            return next((one.record for one in shown if one.number == number), None)

    def _latest(self, is_running: bool) -> list[Shown]:
        """The latest animals; during a run, the latest one at each second."""
        latest = list(self._shown)[-LATEST:]
        if not is_running:
            return latest
        moment = time.monotonic()
        if (
            latest
            and latest[-1] not in self._picked
            and moment - self._picked_at >= PICTURE_SECONDS
        ):
            self._picked.append(latest[-1])
            self._picked_at = moment
        return list(self._picked)

    def rate(self) -> float | None:
        """The recent speed in images per second; None while it is unknown."""
        if len(self._samples) < 2:
            return None
        (since, first), (end, last) = self._samples[0], self._samples[-1]
        return (last - first) / (end - since) if last > first and end > since else None

    def as_json(
        self, address: str, log: Path | None, *, is_running: bool = False
    ) -> dict[str, object]:
        """The counts as sent to pages.

        Args:
            address: The address of the pictures.
            log: The output of the run, which gives the reasons for failures.
            is_running: Whether the run is in progress, so that pictures must take little time.
        """
        with self.lock:
            by_kind: Counter[str] = Counter()
            species = []
            for label, count in self._labels.most_common():
                kind = category_of(label)
                by_kind[kind] += count
                if kind not in (BLANK, UNKNOWN) and len(species) < MAX_SPECIES:
                    name = split_label(label)
                    facts = {"label": label, "name": name.name, "latin": name.scientific_name}
                    species.append({**facts, "count": count})
            return {
                "done": self.done,
                "failed": self.failed,
                "rate": self.rate(),
                "reading": self.is_behind,
                "species": species,
                "blank": by_kind[BLANK],
                "unknown": by_kind[UNKNOWN],
                "latest": [one.as_json(address) for one in reversed(self._latest(is_running))],
                "skipped": _skipped(list(self._failures), log),
            }


def _skipped(paths: list[str], log: Path | None) -> list[dict[str, object]]:
    """The latest failed images, by reason."""
    if not paths:
        return []
    lines = tail(log, _LOG_LINES) if log else []
    reasons = {match[1]: match[2] for line in lines if (match := _CANNOT_READ.match(line))}
    groups: dict[str, list[str]] = {}
    for path in paths:
        groups.setdefault(reasons.get(path, "it could not be read"), []).append(path)
    return [
        {"reason": reason, "count": len(found), "examples": found[:5]}
        for reason, found in groups.items()
    ]


def all_pictures(predictions: Path) -> list[Shown]:
    """The records of a small predictions file, even while it is being written; none if it is missing."""
    from speciesnet.predictions.reading import read_as_written

    found: list[Shown] = []
    if predictions.exists():
        with suppress(OutputError):  # it has just been created
            for number, record in enumerate(read_as_written(predictions)):
                found.append(Shown(number, still_of(record)))
    return found
