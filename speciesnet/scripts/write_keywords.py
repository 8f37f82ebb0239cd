"""Writes the predictions as keywords that Lightroom, digiKam and other catalogues read.

python -m speciesnet.scripts.write_keywords PREDICTIONS.json
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
    local_predictions,
    warn_of_empty,
)
from speciesnet.scripts.remote_files import must_be_here

if TYPE_CHECKING:
    from speciesnet.export.xmp import Keywords, Naming

_NAMING = flags.DEFINE_enum("naming", "full", ["full", "base"], "How sidecars are named.")
_EMBED = flags.DEFINE_bool("embed", False, "Write into the photographs themselves.")

USAGE = """\
Writes keywords to an XMP sidecar beside each photograph.

  python -m speciesnet.scripts.write_keywords PREDICTIONS.json

  --naming full|base    full: IMG_1.jpg.xmp, for digiKam and darktable (default)
                        base: IMG_1.xmp, for Adobe's programs
  --embed               write into the photographs instead; Lightroom reads no
                        sidecars of JPEG files. Pixels and dates stay
  --out FOLDER          put the sidecars into a folder of their own
  --min_score X         answers below get no keywords (0)
  --image_root FOLDER   where the photographs are now, if they have moved; their
                        paths are matched from the end
  --corrections X       what people said in a review: auto (where there is any), none,
                        or a file
  --dry_run             print what would be written, and touch nothing

Given again, it replaces its own keywords and keeps all others.
"""


def main(*files: str) -> None:
    """Reads all records, then writes one file at a time."""
    from speciesnet.export.xmp import keyword_tasks, write_keywords
    from speciesnet.records import read_from
    from speciesnet.survey.corrections import read_corrected
    from speciesnet.survey.photographs import Photographs

    def tell(file: Path, keywords: Keywords) -> None:
        sys.stdout.write(f"{file}: {', '.join(keywords.flat) or 'none'}\n")

    if len(files) != 1:
        raise InputError("Give one predictions file, such as predictions.json.")
    out: str | None = OUT.value
    if out is not None and _EMBED.value:
        raise InputError("--embed writes into the photographs; leave out --embed or --out.")
    must_be_here("--out", out, "give a folder on a disk, and upload it afterwards")
    if out is not None and Path(out).exists() and not Path(out).is_dir():
        raise InputError(f"--out {out} is no folder; give another name.")
    photographs = Photographs(IMAGE_ROOT.value)
    dry_run: bool = DRY_RUN.value
    with local_predictions(files[0]) as predictions:
        with read_from(predictions):
            records = read_corrected(predictions, CORRECTIONS.value)
            tasks = keyword_tasks(records, MIN_SCORE.value)
        if not tasks:
            warn_of_empty(predictions)
    result = write_keywords(
        tasks,
        photographs,
        naming=cast("Naming", _NAMING.value),
        out=out,
        embed=_EMBED.value,
        dry_run=dry_run,
        report=tell if dry_run else None,
    )
    photographs.warn_of_missing("they get no keywords")
    what = "photographs" if _EMBED.value else "sidecars"
    would = " would be" if dry_run else ""
    sys.stdout.write(
        f"{result.done} {what}{would} written, {result.unchanged} unchanged; "
        f"{result.without_answer} photographs have no answer.\n"
    )
    result.raise_if_skipped(what, "Fix or remove them,")


def cli() -> None:
    """The console command."""
    sys.exit(console.run(main, sys.argv, lambda topic: USAGE, files=1))


if __name__ == "__main__":
    cli()
