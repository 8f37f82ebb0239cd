"""Sorts photographs into folders by what the predictions say is on them.

python -m speciesnet.scripts.sort_images PREDICTIONS.json --out FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from absl import flags

from speciesnet.errors import InputError
from speciesnet.scripts import console
from speciesnet.scripts.photograph_flags import DRY_RUN, MIN_SCORE, OUT
from speciesnet.scripts.predictions_files import (
    CORRECTIONS,
    IMAGE_ROOT,
    SEQUENCE_GAP,
    local_predictions,
    warn_of_empty,
)
from speciesnet.scripts.remote_files import must_be_here

if TYPE_CHECKING:
    from speciesnet.export.sorting import By, Destination, SortedPhotographs
    from speciesnet.export.undo import How

_BY = flags.DEFINE_enum("by", "species", ["species", "category", "sequence"], "What to sort by.")
_HOW = flags.DEFINE_enum("how", "copy", ["hardlink", "symlink", "copy", "move"], "What to do.")
_UNDO = flags.DEFINE_bool("undo", False, "Take back what is in the folder.")

USAGE = """\
Sorts photographs into OUT/NAME/path below the common folder. Overwrites nothing.

  python -m speciesnet.scripts.sort_images PREDICTIONS.json --out FOLDER
  python -m speciesnet.scripts.sort_images --undo --out FOLDER

  --by species|category|sequence   what to sort by (species)
  --how copy|hardlink|symlink|move what to do with the photographs (copy)
  --min_score X                    answers below go to "unsure" (0); sequences do not
  --sequence_gap SECONDS           longest pause within a sequence of a camera (60)
  --image_root FOLDER              where the photographs are now, if they have moved;
                                   their paths are matched from the end
  --corrections auto|none|FILE     what people said in a review: auto, where there is any
  --dry_run                        print what would happen, and touch nothing
  --undo                           take everything back, by FOLDER/undo.jsonl

Interrupted? The same command goes on.
"""


def main(*files: str) -> None:
    """Reads all records, then sorts one photograph at a time."""
    if OUT.value is None:
        raise InputError("Give the folder to sort into, such as --out sorted.")
    must_be_here("--out", OUT.value, "give a folder on a disk, and upload it afterwards")
    if _UNDO.value:
        if files:
            raise InputError("--undo takes no predictions file; give only --out FOLDER.")
        _take_back(OUT.value)
    elif len(files) != 1:
        raise InputError("Give one predictions file, such as predictions.json.")
    else:
        _sort(files[0], OUT.value)


def _sort(predictions: str, out: str) -> None:
    from speciesnet.export.sorting import SortedPhotographs, sort_photographs

    def tell(source: Path, target: Path) -> None:
        sys.stdout.write(f"{how} {source} -> {target}\n")

    how = cast("How", _HOW.value)
    if Path(out).exists() and not Path(out).is_dir():
        raise InputError(f"--out {out} is no folder; give another name.")
    with local_predictions(predictions) as copy:
        places = _places(copy, SortedPhotographs(out, IMAGE_ROOT.value))
    photographs = SortedPhotographs(out, IMAGE_ROOT.value)
    dry_run: bool = DRY_RUN.value
    result = sort_photographs(
        places, photographs, how=how, dry_run=dry_run, report=tell if dry_run else None
    )
    photographs.warn_of_missing("they are not sorted")
    would = " would be" if dry_run else ""
    done = f"{result.unchanged} were there already" if result.unchanged else "none was there before"
    sys.stdout.write(f"{result.done} photographs{would} sorted ({how}) into {out}; {done}.\n")
    result.raise_if_skipped(f"of {len(places)} photographs")


def _places(predictions: str, photographs: SortedPhotographs) -> list[Destination]:
    from speciesnet.export.sorting import destinations_by_answer, destinations_by_sequence
    from speciesnet.records import read_from
    from speciesnet.survey.corrections import read_corrected

    with read_from(predictions):
        records = read_corrected(predictions, CORRECTIONS.value)
        if _BY.value == "sequence":
            found = destinations_by_sequence(records, photographs, SEQUENCE_GAP.value)
        else:
            found = destinations_by_answer(records, cast("By", _BY.value), MIN_SCORE.value)
    if not found:
        warn_of_empty(predictions)
    return found


def _take_back(out: str) -> None:
    from speciesnet.export.undo import undo

    result = undo(out, dry_run=DRY_RUN.value)
    would = " would be" if DRY_RUN.value else ""
    sys.stdout.write(f"{result.done} photographs{would} taken back.\n")
    result.raise_if_skipped(f"photographs in {out}, which stay in undo.jsonl,")


def cli() -> None:
    """The console command."""
    sys.exit(console.run(main, sys.argv, lambda topic: USAGE, files=1))


if __name__ == "__main__":
    cli()
