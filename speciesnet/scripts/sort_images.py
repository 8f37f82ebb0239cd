"""Sorts photographs into folders by their predictions: ``speciesnet sort``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

from absl import logging

from speciesnet.errors import InputError
from speciesnet.export.sorting import (
    Destination,
    SortedPhotographs,
    destinations_by_answer,
    destinations_by_sequence,
    set_people_aside,
    sort_photographs,
)
from speciesnet.export.undo import How, undo
from speciesnet.files.input_notes import counted, plural
from speciesnet.scripts import console, flags
from speciesnet.scripts.inputs import chosen_predictions, corrected_of, date_rules
from speciesnet.scripts.outputs import check_local_folder
from speciesnet.survey.dates import DateRules

BY: flags.Flag[Literal["species", "category", "sequence"]] = flags.choice(
    "by", ["species", "category", "sequence"], "What to sort by."
)
HOW: flags.Flag[How] = flags.choice(
    "how", ["copy", "hardlink", "symlink", "move"], "What to do with the photographs."
)
PEOPLE = flags.text(
    "people", "Name of a folder for all photographs that show people, whatever their answer."
)
UNDO = flags.switch("undo", "Undo everything that FOLDER/undo.jsonl lists.")

USAGE = """\
Sorts photographs into FOLDER/NAME/PATH, with paths below their common folder.
No file is overwritten. Run the same command again to continue.

  speciesnet sort PREDICTIONS.json --out FOLDER
  speciesnet sort --undo --out FOLDER
"""


def main(values: flags.Values, *files: str) -> None:
    """Reads all records, then sorts one photograph at a time."""
    out = values[flags.OUT]
    if out is None:
        raise InputError("Pass the folder to sort into, such as --out sorted.")
    check_local_folder(out)
    if values[UNDO]:
        if files:
            raise InputError("--undo takes no predictions file; pass only --out FOLDER.")
        _undo(out, values[flags.DRY_RUN])
    elif not files:
        raise InputError(console.ONE_PREDICTIONS_FILE["missing"])
    else:
        _sort(values, files[0], out)


def _sort(values: flags.Values, source: str, out: str) -> None:
    def report(photograph: Path, target: Path) -> None:
        sys.stdout.write(f"{how} {photograph} -> {target}\n")

    how, dry_run = values[HOW], values[flags.DRY_RUN]
    dates = date_rules(values)
    if values[flags.THRESHOLDS] and values[BY] == "sequence":
        raise InputError(
            "--thresholds is for the answers of photographs; use --by species, or leave it out."
        )
    with chosen_predictions(source, values) as predictions:
        destinations = _destinations(
            values, predictions, SortedPhotographs(out, values[flags.IMAGE_ROOT]), dates
        )
    photographs = SortedPhotographs(out, values[flags.IMAGE_ROOT])
    result = sort_photographs(
        destinations, photographs, how=how, dry_run=dry_run, report=report if dry_run else None
    )
    photographs.warn_of_missing("they are not sorted")
    would = " would be" if dry_run else ""
    were = plural(result.unchanged, "was", "were")
    done = (
        f"{result.unchanged} {were} already there" if result.unchanged else "none was already there"
    )
    sys.stdout.write(
        f"{counted(result.done, 'photograph')}{would} sorted ({how}) into {out}; {done}.\n"
    )
    sys.stdout.write("".join(f"{note}\n" for note in dates.notes))
    _report_people(values[PEOPLE], destinations)
    result.raise_if_skipped(*[f"of {counted(len(destinations), 'photograph')}"] * 2)


def _destinations(
    values: flags.Values, predictions: str, photographs: SortedPhotographs, dates: DateRules
) -> list[Destination]:
    by = values[BY]
    records = corrected_of(predictions, values, dates)
    if by == "sequence":
        found = destinations_by_sequence(records, photographs, values[flags.SEQUENCE_GAP], dates)
    else:
        found = destinations_by_answer(records, by, values[flags.MIN_SCORE])
    people = values[PEOPLE]
    return found if people is None else set_people_aside(found, people)


def _report_people(folder: str | None, destinations: list[Destination]) -> None:
    total = len(destinations)
    if folder is not None:
        count = sum(one.shows_people for one in destinations)
        sys.stdout.write(
            f"{count} of {counted(total, 'photograph')} {plural(count, 'shows', 'show')} people; "
            f"{plural(count, 'its', 'their')} folder is {folder}.\n"
        )
    elif hidden := [one for one in destinations if one.hides_people]:
        logging.warning(
            "%d of %s %s people although the answer is not human, such as %s. "
            "They are sorted like all others; --people FOLDER sets them aside.",
            len(hidden),
            counted(total, "photograph"),
            plural(len(hidden), "shows", "show"),
            hidden[0].filepath,
        )


def _undo(out: str, dry_run: bool) -> None:
    result = undo(out, dry_run=dry_run)
    undone = "would be undone" if dry_run else "undone"
    sys.stdout.write(f"Sorting {undone} for {counted(result.done, 'photograph')}.\n")
    result.raise_if_skipped(
        f"photograph in {out}, which stays in undo.jsonl,",
        f"photographs in {out}, which stay in undo.jsonl,",
    )


COMMAND = console.Command(
    main,
    USAGE,
    (
        BY,
        HOW,
        PEOPLE,
        flags.MIN_SCORE.but(
            help='Sort answers with a lower score into "unsure"; not for sequences.'
        ),
        flags.SEQUENCE_GAP,
        flags.IMAGE_ROOT,
        flags.OUT,
        flags.DRY_RUN.but(help="Print what would be done, and change nothing."),
        UNDO,
    ),
    topics={**flags.ANSWERS, **flags.DATES},
    files=1,
)

if __name__ == "__main__":
    console.start(COMMAND)
