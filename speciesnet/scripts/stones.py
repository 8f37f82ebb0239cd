"""Finds boxes that never move and removes them from all results: ``speciesnet stones``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from speciesnet.errors import InputError
from speciesnet.files.input_notes import counted
from speciesnet.scripts import console, flags
from speciesnet.scripts.inputs import date_rules, local_predictions
from speciesnet.scripts.outputs import sent_file
from speciesnet.scripts.review import REVIEWER, corrections_to_write

if TYPE_CHECKING:
    from speciesnet.survey.dates import DateRules
    from speciesnet.survey.stone_verdicts import Verdict
    from speciesnet.survey.stones import Stone

OUT = flags.text("out", "Table of groups to write (path or URL), CSV or Parquet.")
STONE = flags.names("stone", "Comma-separated names of groups without an animal, or all.")
ANIMAL = flags.names("animal", "Names of groups that do show an animal, or all.")
UNDECIDED = flags.names("undecided", "Names of groups whose verdicts to withdraw, or all.")
SHOWN = 40  # groups that are printed; a table contains all

USAGE = """\
Finds boxes that never move: stones and branches that the detector mistook for
animals in many images, spread over days.

  speciesnet stones PREDICTIONS.json
  speciesnet stones PREDICTIONS.json --stone 1a2b3c4d,5e6f7a8b

The "Never moving" page of speciesnet review and report shows each group once.
All exports, reports and reviews leave out boxes with the verdict stone; the
predictions never change.
"""


def main(values: flags.Values, source: str) -> None:
    """Reads one record at a time, keeps a few numbers for each box, and prints the groups."""
    from speciesnet.survey.corrections import CorrectionsFile, now, read_corrections, read_verdicts
    from speciesnet.survey.stones import with_verdicts

    asked = {"stone": values[STONE], "animal": values[ANIMAL], None: values[UNDECIDED]}
    path = corrections_to_write(values, source)
    dates = date_rules(values)
    with local_predictions(source, "none") as predictions:
        stones = _found(predictions, values, dates)
    dates.add_note(read_corrections(path).note, is_logged=True)
    stones = with_verdicts(stones, read_verdicts(path))
    decided = _chosen(stones, asked)
    if decided:
        at, reviewer = now(), values[REVIEWER]
        with CorrectionsFile(path) as file:
            file.add([stone.decided(verdict, at, reviewer) for stone, verdict in decided])
        stones = with_verdicts(stones, read_verdicts(path))
    if target := values[OUT]:
        _write(stones, target)
    sys.stdout.write(f"{counted(len(stones), 'group')} of boxes that never move.\n")
    sys.stdout.write("".join(f"{line}\n" for line in _lines(stones)))
    sys.stdout.write("".join(f"{note}\n" for note in dates.notes))


def _found(predictions: str, values: flags.Values, dates: DateRules) -> list[Stone]:
    """The groups, without verdicts."""
    from speciesnet.files.moved_photographs import Photographs
    from speciesnet.predictions.reading import read_records
    from speciesnet.records import still_of
    from speciesnet.survey.photographs import with_metadata
    from speciesnet.survey.stones import Sightings, boxes_in_record

    photographs = Photographs(values[flags.IMAGE_ROOT])
    sightings = Sightings()
    records = map(still_of, read_records(predictions))
    for record, metadata in with_metadata(records, photographs, dates):
        sightings.add(record["filepath"], metadata.datetime, boxes_in_record(record))
    photographs.warn_of_missing("boxes without dates are found only if there are many")
    return sightings.find()


def _chosen(
    stones: Sequence[Stone], asked: dict[Verdict | None, list[str]]
) -> list[tuple[Stone, Verdict | None]]:
    """The groups named by the flags, and their new verdicts."""
    by_name = {stone.name: stone for stone in stones}
    chosen: dict[str, Verdict | None] = {}
    for verdict, names in asked.items():
        for name in by_name if names == ["all"] else names:
            if name not in by_name:
                raise InputError(
                    f"There is no group {name!r}; pass names that this command prints without flags."
                )
            if chosen.setdefault(name, verdict) != verdict:
                raise InputError(f"The group {name} is in two flags; remove it from one of them.")
    return [
        (by_name[name], verdict)
        for name, verdict in chosen.items()
        if by_name[name].verdict != verdict
    ]


def _write(stones: Sequence[Stone], target: str) -> None:
    from speciesnet.export.stone_table import COLUMNS, stone_rows
    from speciesnet.export.tables import write_table

    with sent_file(target) as table:
        write_table(stone_rows(stones), table, COLUMNS)
    console.report_on(target, f"{counted(len(stones), 'row')}: {target}")


def _lines(stones: Sequence[Stone]) -> list[str]:
    """The lines of the table, and what to do next."""
    from speciesnet.ensemble.taxonomy import species_name

    if not stones:
        return []
    lines = ["name       boxes  days  empty  conf.  verdict    camera, most frequent answer"]
    for stone in stones[:SHOWN]:
        days = f"{stone.days:>4}  {stone.empty:>5.0%}" if stone.first else "   ?      ?"
        answer = next(map(species_name, stone.answers), stone.kind)
        verdict = stone.verdict or "undecided"
        lines.append(
            f"{stone.name}  {len(stone.boxes):>6}  {days}  {stone.conf:>5.2f}  {verdict:<9}  "
            f"{stone.camera}, {answer}"
        )
    if len(stones) > SHOWN:
        lines.append(f"and {len(stones) - SHOWN} more; --out TABLE.csv writes all.")
    if any(stone.verdict is None for stone in stones):
        lines.append("Decide in speciesnet review, or with --stone NAMES and --animal NAMES.")
    return lines


COMMAND = console.Command(
    main,
    USAGE,
    (OUT, STONE, ANIMAL, UNDECIDED, REVIEWER, flags.IMAGE_ROOT, flags.CORRECTIONS),
    topics=flags.DATES,
    **console.ONE_PREDICTIONS_FILE,
)

if __name__ == "__main__":
    console.start(COMMAND)
