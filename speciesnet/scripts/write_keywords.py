"""Writes predictions as keywords for Lightroom, digiKam and other catalogs: ``speciesnet keywords``."""

from __future__ import annotations

import sys
from pathlib import Path

from speciesnet.errors import InputError
from speciesnet.export.xmp import Keywords, Naming, keyword_tasks, write_keywords
from speciesnet.files.input_notes import counted
from speciesnet.files.moved_photographs import Photographs
from speciesnet.scripts import console, flags
from speciesnet.scripts.inputs import chosen_predictions, corrected_of
from speciesnet.scripts.outputs import check_local_folder
from speciesnet.survey.dates import DateRules

NAMING: flags.Flag[Naming] = flags.choice(
    "naming",
    ["full", "base"],
    "Names of the sidecars. full: IMG_1.jpg.xmp, for digiKam and darktable; base: IMG_1.xmp, for "
    "Adobe's programs.",
)
EMBED = flags.switch(
    "embed",
    "Write into the photographs instead, because Lightroom ignores sidecars of JPEG files. Pixels and "
    "dates stay unchanged.",
)

USAGE = """\
Writes keywords to an XMP sidecar next to each photograph.

  speciesnet keywords PREDICTIONS.json

Running the same command again replaces the keywords that it wrote and keeps all
others.
"""


def main(values: flags.Values, source: str) -> None:
    """Reads all records, then writes one file at a time."""

    def report(file: Path, keywords: Keywords) -> None:
        sys.stdout.write(f"{file}: {', '.join(keywords.flat) or 'none'}\n")

    out, embed, dry_run = values[flags.OUT], values[EMBED], values[flags.DRY_RUN]
    if out is not None and embed:
        raise InputError("--embed writes into the photographs; leave out --embed or --out.")
    check_local_folder(out)
    photographs = Photographs(values[flags.IMAGE_ROOT])
    found = DateRules()
    with chosen_predictions(source, values) as predictions:
        tasks = keyword_tasks(corrected_of(predictions, values, found), values[flags.MIN_SCORE])
    result = write_keywords(
        tasks,
        photographs,
        naming=values[NAMING],
        out=out,
        embed=embed,
        dry_run=dry_run,
        report=report if dry_run else None,
    )
    photographs.warn_of_missing("they get no keywords")
    kind = "photograph" if embed else "sidecar"
    would = " would be" if dry_run else ""
    sys.stdout.write(
        f"{counted(result.done, kind)}{would} written, {result.unchanged} unchanged; "
        f"{counted(result.without_answer, 'photograph has', 'photographs have')} no answer.\n"
    )
    sys.stdout.write("".join(f"{note}\n" for note in found.notes))
    result.raise_if_skipped(kind, advice="Fix or remove them,")


COMMAND = console.Command(
    main,
    USAGE,
    (
        NAMING,
        EMBED,
        flags.OUT.but(help="Folder for the sidecars, instead of the photographs' own folders."),
        flags.MIN_SCORE.but(help="Write no keywords for answers with a lower score."),
        flags.IMAGE_ROOT,
        flags.CORRECTIONS,
        flags.THRESHOLDS,
        flags.DRY_RUN.but(help="Print what would be written, and change nothing."),
    ),
    ignored=(flags.SEQUENCE_GAP,),
    **console.ONE_PREDICTIONS_FILE,
)

if __name__ == "__main__":
    console.start(COMMAND)
