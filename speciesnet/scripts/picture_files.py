"""What ``speciesnet crops`` and ``speciesnet draw`` share: their flags, and how they write pictures."""

from __future__ import annotations

import sys
from pathlib import PurePath
from typing import TYPE_CHECKING

from speciesnet.errors import InputError
from speciesnet.scripts import flags
from speciesnet.scripts.inputs import chosen_predictions
from speciesnet.scripts.outputs import sent_folder

if TYPE_CHECKING:
    from speciesnet.export.pictures import Crops, Drawn, PictureResults

OUT = flags.OUT.but(help="Folder (path or URL) for the pictures: a new one or an earlier output.")
MIN_CONFIDENCE = flags.number(
    "min_confidence", 0.2, "Leave out boxes with a lower confidence.", at_most=1
)


def written(values: flags.Values, source: str, kind: Crops | Drawn) -> PictureResults:
    """Writes the pictures into the folder named by the flags, and warns about missing photographs.

    Args:
        values: The flags of the command.
        source: Path or URL of the predictions file.
        kind: The kind of pictures.
    """
    from speciesnet.export.pictures import write_pictures
    from speciesnet.files.moved_photographs import Photographs
    from speciesnet.survey.corrections import find_corrections
    from speciesnet.survey.dates import DateRules

    target, list_name = values[OUT], kind.list_name
    if target is None:
        example = PurePath(list_name).stem
        raise InputError(f"Pass the folder for the pictures, such as --out {example}.")
    photographs = Photographs(values[flags.IMAGE_ROOT])
    with (
        sent_folder(target, last=list_name, mark=list_name) as out,
        chosen_predictions(source, values) as predictions,
    ):
        corrections = find_corrections(predictions, values[flags.CORRECTIONS])
        results = write_pictures(
            predictions,
            corrections,
            photographs,
            out,
            kind,
            threads=flags.thumbnail_threads(values),
            progress_bars=True,
        )
    photographs.warn_of_missing("they get no new pictures")
    found = DateRules()
    found.add_note(corrections.note, is_logged=True)
    for note in results.notes:
        found.add_note(note)
    sys.stdout.write("".join(f"{note}\n" for note in found.notes))
    return results
