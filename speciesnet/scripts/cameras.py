"""Finds cameras that failed, and the nights that each worked: ``speciesnet cameras``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from textwrap import fill
from typing import TYPE_CHECKING

from speciesnet.errors import InputError
from speciesnet.files.input_notes import counted, plural
from speciesnet.scripts import console, flags
from speciesnet.scripts.inputs import corrected_of, date_rules, local_predictions
from speciesnet.scripts.outputs import sent_file, sent_folder

if TYPE_CHECKING:
    from speciesnet.files.moved_photographs import Photographs
    from speciesnet.survey.camera_check import CameraCheck, CheckedCamera, Sightings
    from speciesnet.survey.dates import DateRules

CSV = flags.text("csv", "Table to write (path or URL), CSV or Parquet: cameras and findings.")
HTML = flags.text(
    "html", "Folder (path or URL) for a page: a new folder, or one with an earlier page."
)
DEPLOYMENTS_OUT = flags.text(
    "deployments_out",
    "CSV file (path or URL) to write: the deployments, with the periods in which cameras worked.",
)
NO_PICTURES = flags.switch(
    "no_pictures", "Read no photographs, and do not look for changes in the scene."
)
SHOWN = 40  # cameras that are printed; a table contains all
WIDTH = 80

USAGE = """\
Finds cameras that failed: clocks that jumped, cameras that stopped early or
took no photographs for a while, covered lenses, changed views, dead flashes
and floods of blanks. Counts the nights that each camera worked.

  speciesnet cameras PREDICTIONS.json --deployments deployments.csv
  speciesnet cameras PREDICTIONS.json --html FOLDER --csv TABLE.csv
"""


def main(values: flags.Values, source: str) -> None:
    """Reads the records, then some photographs of each camera, and prints what failed."""
    from speciesnet.export.media_index import parse_timezone
    from speciesnet.files.moved_photographs import Photographs

    zone = parse_timezone(values[flags.TIMEZONE])
    _check_outputs(values, source)
    dates = date_rules(values, values[flags.DEPLOYMENTS])
    photographs = Photographs(values[flags.IMAGE_ROOT])
    with local_predictions(source, values[flags.CORRECTIONS]) as predictions:
        seen = _seen(predictions, values, dates)
    check = _check(seen, values, zone)
    found, notes = _checked(check, values, photographs)
    _write(found, seen, values, zone, photographs)
    sys.stdout.write("".join(f"{line}\n" for line in _lines(found)))
    sys.stdout.write("".join(f"{fill(note, WIDTH)}\n" for note in [*dates.notes, *notes]))


def _check_outputs(values: flags.Values, source: str) -> None:
    from speciesnet.export.files import check_not_same

    for flag in (CSV, DEPLOYMENTS_OUT):
        if (target := values[flag]) is None:
            continue
        check_not_same(source, target)
        if (table := values[flags.DEPLOYMENTS]) is not None:
            check_not_same(table, target, "table of deployments")
    if values[CSV] is not None and values[CSV] == values[DEPLOYMENTS_OUT]:
        raise InputError(
            "--csv and --deployments_out name the same file; pass two different names."
        )


def _seen(predictions: str, values: flags.Values, dates: DateRules) -> Sightings:
    """The dates of all photographs, and which of them are blank or show people."""
    from speciesnet.files.moved_photographs import Photographs
    from speciesnet.records import record_errors
    from speciesnet.survey.camera_check import Sightings
    from speciesnet.survey.people import shows_people
    from speciesnet.survey.photographs import with_metadata
    from speciesnet.survey.sequences import is_blank

    seen = Sightings()
    photographs = Photographs(values[flags.IMAGE_ROOT])
    records = corrected_of(predictions, values, dates)
    for record, metadata in with_metadata(records, photographs, dates):
        path = record["filepath"]
        seen.dates.append((path, metadata.datetime))
        with record_errors(record):
            if is_blank(record):
                seen.blanks.add(path)
            if shows_people(record):
                seen.people.add(path)
    photographs.warn_of_missing("their dates are unknown")
    if not seen.dates:
        raise InputError(f"{predictions} contains no records yet; pass a file with predictions.")
    if all(taken is None for _, taken in seen.dates):
        raise InputError(
            "None of the photographs has a date, so the cameras cannot be checked; pass --date_from_name "
            "if their names contain dates, or --image_root if they have moved."
        )
    return seen


def _check(seen: Sightings, values: flags.Values, zone: tzinfo | None) -> CameraCheck:
    from speciesnet.export.deployments import deployed
    from speciesnet.survey.camera_check import CameraCheck
    from speciesnet.survey.cards import folder_parts

    if (table := values[flags.DEPLOYMENTS]) is None:
        return CameraCheck(seen)
    folders = dict.fromkeys(folder_parts(path) for path, taken in seen.dates if taken)
    undated = dict.fromkeys(folder_parts(path) for path, taken in seen.dates if not taken)
    return CameraCheck(seen, *deployed(table, [*folders], zone, [*undated]))


def _checked(
    check: CameraCheck, values: flags.Values, photographs: Photographs
) -> tuple[list[CheckedCamera], list[str]]:
    """The cameras, and sentences about the check."""
    from speciesnet.pipeline.progress import ProgressBars
    from speciesnet.survey.scene_reading import SceneReader

    notes = [
        'The column "worked" leaves out the nights of the findings "stopped early", "no photographs" '
        'and "lens covered". Nights after a changed view or without a flash still count.'
    ]
    if values[flags.DEPLOYMENTS] is None:
        notes.append(
            "Without --deployments, a camera counts from its first to its last photograph, so cameras "
            "that stopped early are not found."
        )
    if values[NO_PICTURES]:
        notes.append("Because of --no_pictures, the command did not look for changes in the scene.")
        return list(check.checked()), notes
    with ProgressBars(["Pictures"], check.pictures, enabled=True) as bars:
        reader = SceneReader(
            photographs, flags.thumbnail_threads(values), lambda: bars.update("Pictures")
        )
        found = list(check.checked(reader))
    photographs.warn_of_missing("their scenes could not be compared")
    if photographs.missing:
        notes.append(
            f"{photographs.missing} of {counted(check.pictures, 'chosen photograph')} "
            f"{plural(photographs.missing, 'was', 'were')} not found, so changes in the scene may "
            "be missing; pass their folder with --image_root."
        )
    if reader.unreadable:
        notes.append(f"{counted(reader.unreadable, 'photograph')} could not be read.")
    if reader.films:
        notes.append(f"The scenes of {counted(reader.films, 'film')} were not compared.")
    return found, notes


def _write(
    found: Sequence[CheckedCamera],
    seen: Sightings,
    values: flags.Values,
    zone: tzinfo | None,
    photographs: Photographs,
) -> None:
    from speciesnet.export.camera_table import COLUMNS, camera_rows, write_deployments
    from speciesnet.export.tables import write_table

    if (target := values[CSV]) is not None:
        with sent_file(target) as table:
            rows = write_table(camera_rows(found), table, COLUMNS)
        console.report_on(target, f"{counted(rows, 'row')}: {target}")
    if (target := values[DEPLOYMENTS_OUT]) is not None:
        with sent_file(target) as table:
            changed = write_deployments(found, table, values[flags.DEPLOYMENTS], zone)
        what = counted(changed, "deployment has a new period", "deployments have new periods")
        console.report_on(target, f"{what}: {target}")
    if (target := values[HTML]) is not None:
        _write_pages(found, target, photographs)


def _write_pages(found: Sequence[CheckedCamera], target: str, photographs: Photographs) -> None:
    from speciesnet.survey.report.cameras import FIRST_PAGE, MADE_BY, THUMBS, write_camera_page
    from speciesnet.survey.report.folder import MARKER, check_report_folder

    with sent_folder(target, last=FIRST_PAGE, mark=MARKER, unchanging=THUMBS) as out:
        check_report_folder(out, MADE_BY, "--html")
        write_camera_page(found, out, photographs, made=datetime.now().astimezone().date())
    sys.stdout.write(f"Page: {target.rstrip('/')}/{FIRST_PAGE}\n")


def _lines(found: Sequence[CheckedCamera]) -> Iterator[str]:
    """The printed table, at most ``WIDTH`` characters wide."""
    from speciesnet.survey.camera_findings import NAMES

    failed = [one for one in found if one.findings]
    nights = sum(one.effort.nights or 0 for one in found)
    worked = sum(one.worked.nights or 0 for one in found)
    yield (
        f"{counted(len(found), 'camera')}, {len(failed)} with findings; "
        f"{plural(len(found), 'it', 'they')} worked on {worked} of {counted(nights, 'trap night')}."
    )
    yield "nights  worked  camera"
    for one in sorted(found, key=lambda one: not one.findings)[:SHOWN]:
        cells = ("?" if n is None else n for n in (one.effort.nights, one.worked.nights))
        yield "{:>6}  {:>6}  ".format(*cells) + _short(one.name, WIDTH - 16)
        for finding in one.findings:
            day = f"{finding.start:%Y-%m-%d}" if finding.start else " " * 10
            start = f"  {day}  {NAMES[finding.kind]}: "
            yield fill(finding.note, WIDTH, initial_indent=start, subsequent_indent=" " * 14)
    if len(found) > SHOWN:
        yield f"and {len(found) - SHOWN} more; --csv TABLE.csv writes all."


def _short(name: str, width: int) -> str:
    """A name, or only its end if it is too long."""
    return name if len(name) <= width else f"...{name[3 - width :]}"


COMMAND = console.Command(
    main,
    USAGE,
    (
        *(
            flags.DEPLOYMENTS.but(help="CSV file (path or URL) of deployments, as for camtrap-dp."),
            CSV,
            HTML,
        ),
        *(DEPLOYMENTS_OUT, NO_PICTURES, flags.TIMEZONE, flags.IMAGE_ROOT, flags.CORRECTIONS),
        flags.PICTURE_THREADS,
    ),
    topics=flags.DATES,
    **console.ONE_PREDICTIONS_FILE,
)

if __name__ == "__main__":
    console.start(COMMAND)
