"""Merges the outputs of several jobs into one predictions file: ``speciesnet merge``."""

from __future__ import annotations

from pathlib import Path

from speciesnet.constants import CORRECTIONS_ENDING, RUN_ENDING
from speciesnet.errors import InputError
from speciesnet.export.files import check_not_same
from speciesnet.files import storage
from speciesnet.predictions.file import check_output_path
from speciesnet.predictions.settings import settings_path
from speciesnet.run.distributed.merging import merge
from speciesnet.scripts import console, flags
from speciesnet.scripts.outputs import sent_file
from speciesnet.scripts.summary import images_and_failures

USAGE = """\
Merges the outputs of several jobs into one predictions file.

  speciesnet merge OUT.json PART [PART ...]

PART is a folder of shards written by speciesnet ray, or a predictions file
written by speciesnet --shard I/N, on a disk or in a bucket. OUT.json has one
record per image, sorted by path.
"""
FILES = 100_000  # how many parts may be given
COMPANIONS = (RUN_ENDING, CORRECTIONS_ENDING, ".lock")  # of predictions files


def main(values: flags.Values, *files: str) -> None:
    """Reads one part at a time, and writes one record at a time."""
    if len(files) < 2:
        raise InputError(
            "Pass the file to write and then its parts, such as out.json out-1.json out-2.json."
        )

    target, *parts = files
    parts = [part for part in parts if not part.endswith(COMPANIONS)]  # patterns match these too
    if not parts:
        raise InputError(
            "None of the parts is a predictions file or a folder; pass the files themselves."
        )
    if "://" not in target:
        check_output_path(Path(target), "The output")
    for part in parts:
        check_not_same(part, target, "part")
    with sent_file(target) as local:
        if storage.is_cloud(target) and storage.version_of(target):
            raise InputError(f"{target} already exists; use a different name.")
        tally = merge(parts, Path(local))
        settings = settings_path(Path(local))
        if storage.is_cloud(target) and settings.exists():
            with sent_file(f"{target}{RUN_ENDING}") as copy:
                Path(copy).write_bytes(settings.read_bytes())
    console.report_on(target, f"{images_and_failures(tally)}: {target}")


COMMAND = console.Command(main, USAGE, files=FILES)

if __name__ == "__main__":
    console.start(COMMAND)
