"""Joins what the jobs of a run have written into one predictions file.

python -m speciesnet.scripts.merge OUT.json PART [PART ...]
"""

from __future__ import annotations

import sys

from speciesnet.constants import CORRECTIONS_ENDING, RUN_ENDING
from speciesnet.errors import InputError
from speciesnet.scripts import console

USAGE = """\
Joins what the jobs of a run have written into one predictions file.

  python -m speciesnet.scripts.merge OUT.json PART [PART ...]

PART is a folder of shards, as run_on_ray writes them, or a predictions file of
run_model --shard I/N; on a disk or in a bucket. Each image comes once, in the
order of the paths.
"""
FILES = 100_000  # how many parts may be given
BESIDE = (RUN_ENDING, CORRECTIONS_ENDING, ".lock")  # what lies beside predictions files


def main(*files: str) -> None:
    """Reads part by part, and writes record by record."""
    if len(files) < 2:
        raise InputError(
            "Give the file to write and then its parts, such as out.json out-1.json out-2.json."
        )
    from pathlib import Path

    from speciesnet.distributed.merging import merge
    from speciesnet.export.files import check_not_same
    from speciesnet.files import storage
    from speciesnet.predictions.file import check_output_path
    from speciesnet.predictions.settings import settings_path
    from speciesnet.scripts.remote_files import sent_file

    target, *parts = files
    parts = [part for part in parts if not part.endswith(BESIDE)]  # which patterns take in
    if not parts:
        raise InputError(
            "None of the parts is a predictions file or a folder; give the files themselves."
        )
    if "://" not in target:
        check_output_path(Path(target), "The output")
    for part in parts:
        check_not_same(part, target, "part")
    with sent_file(target) as local:
        if storage.is_cloud(target) and storage.version_of(target):
            raise InputError(f"{target} is there already; give another name.")
        tally = merge(parts, Path(local))
        noted = settings_path(Path(local))
        if storage.is_cloud(target) and noted.exists():
            with sent_file(f"{target}{RUN_ENDING}") as copy:
                Path(copy).write_bytes(noted.read_bytes())
    console.report_on(target, f"{tally.images} images, {tally.failed} of them failed: {target}")


def cli() -> None:
    """The console command."""
    sys.exit(console.run(main, sys.argv, lambda topic: USAGE, files=FILES))


if __name__ == "__main__":
    cli()
