"""Predictions files as input of a command, on this machine or elsewhere."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from absl import logging

from speciesnet.constants import CORRECTIONS_ENDING, RUN_ENDING
from speciesnet.errors import InputError, OutputError, file_errors
from speciesnet.files import storage
from speciesnet.files.clouds import BrokenConnectionError, RemoteError
from speciesnet.predictions.layout import ends_before_records
from speciesnet.records import Record, in_file, still_of
from speciesnet.scripts import flags

if TYPE_CHECKING:
    from speciesnet.ensemble.thresholds import Thresholds
    from speciesnet.files.moved_photographs import Photographs
    from speciesnet.survey.corrections import Corrections
    from speciesnet.survey.dates import DateRules
    from speciesnet.survey.smoothed_records import SmoothedRecords
    from speciesnet.survey.stones import Stone
    from speciesnet.survey.survey import Survey


def chosen_predictions(source: str, values: flags.Values) -> AbstractContextManager[str]:
    """The predictions, with the corrections and thresholds of the flags; see ``local_predictions``."""
    return local_predictions(source, values[flags.CORRECTIONS], values[flags.THRESHOLDS])


@contextmanager
def local_predictions(path: str, corrections: str, thresholds: str | None = None) -> Iterator[str]:
    """A predictions file on this machine: the file itself, or a copy.

    The copy has the settings of the run next to it and, if wanted, the corrections. Errors about a record
    name the file, and a file without records causes a warning.

    Args:
        path: Path or URL of the predictions file.
        corrections: The value of ``--corrections``; "auto" also copies the file of corrections.
        thresholds: The value of ``--thresholds``: answers with lower scores are replaced in a copy, and
            counted in a warning; those that a person has corrected stay.

    Raises:
        InputError: The corrections or the thresholds cannot be read, or a record is malformed.
        OutputError: The predictions cannot be read.
        CredentialsError: The credentials for the bucket have expired or are refused.
    """
    if thresholds is not None:
        with (
            local_predictions(path, corrections) as local,
            _with_thresholds(local, corrections, thresholds) as copy,
        ):
            yield copy
        return
    if storage.scheme_of(path) is None:
        with in_file(path):
            yield path
        _warn_if_empty(path)
        return
    from speciesnet.files.paths import safe_name

    name = path.rpartition("/")[2] if storage.is_cloud(path) else unquote(urlsplit(path).path)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / safe_name(PurePosixPath(name).name)
        with file_errors(OutputError, f"The predictions file {path}"):
            storage.fetch(path, copy)
        _fetch_companion(path, RUN_ENDING, copy)
        if corrections == "auto":
            _fetch_companion(path, CORRECTIONS_ENDING, copy)
        with storage.displayed_as(path, copy):
            with in_file(copy):
                yield str(copy)
            _warn_if_empty(str(copy))


@contextmanager
def _with_thresholds(predictions: str, corrections: str, thresholds: str) -> Iterator[str]:
    """A copy of a predictions file without the answers below their thresholds."""
    from speciesnet.ensemble.thresholds import read_thresholds
    from speciesnet.predictions.layout import encode_record, write_lines
    from speciesnet.predictions.reading import read_records
    from speciesnet.records import record_errors
    from speciesnet.survey.corrections import find_corrections

    rules = read_thresholds(thresholds)
    found = find_corrections(predictions, corrections)
    reviewed = {path for path, one in found.items() if not one.is_empty}

    def lines() -> Iterator[bytes]:
        for record in read_records(predictions):
            with record_errors(record):
                is_kept = record["filepath"] in reviewed
                yield encode_record(record if is_kept else rules.apply(record))

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        source, copy = Path(predictions), Path(folder) / Path(predictions).name
        with copy.open("wb") as file:
            write_lines(file, lines())
        shutil.copystat(source, copy)  # exports show when the predictions were made
        if (companion := source.with_name(f"{source.name}{CORRECTIONS_ENDING}")).is_file():
            shutil.copyfile(companion, f"{copy}{CORRECTIONS_ENDING}")
        _note_in_settings(source, copy, rules)
        for note in rules.notes:
            logging.warning("%s", note)
        with storage.displayed_as(storage.display_name(predictions), copy):
            yield str(copy)


def _note_in_settings(source: Path, copy: Path, rules: Thresholds) -> None:
    """Writes the settings of the run next to a copy, with thresholds, for answers of sequences."""
    from speciesnet.predictions.settings import read_settings, thresholds_of_run, write_settings

    thresholds = thresholds_of_run(source) or {}
    for name, lowest in rules.as_setting.items():
        thresholds[name] = max(lowest, thresholds.get(name, 0.0))
    try:
        settings = dict(read_settings(source))
    except (OSError, ValueError, TypeError, RecursionError):  # unknown, as for the file itself
        settings = {}
    write_settings(copy, {**settings, "thresholds": thresholds})


def _fetch_companion(path: str, ending: str, copy: Path) -> None:
    """Copies the file next to the predictions whose name has an extra ending, if it exists."""
    url = f"{path}{ending}"
    if not storage.is_cloud(path):  # the URL may have a query after the name
        parts = urlsplit(path)
        url = urlunsplit(parts._replace(path=f"{parts.path}{ending}"))
    try:
        storage.fetch(url, copy.with_name(f"{copy.name}{ending}"))
    except FileNotFoundError:
        pass
    except OSError as error:
        # Sites, and buckets that may not be listed, answer "forbidden" for a missing file.
        is_answer = isinstance(error, RemoteError) and not isinstance(error, BrokenConnectionError)
        if is_answer and (ending == RUN_ENDING or not storage.is_cloud(path)):
            logging.info("%s is ignored (%s).", url, error.strerror or error)
            return
        without = " or use --corrections none" if ending == CORRECTIONS_ENDING else ""
        raise InputError(
            f"{url} cannot be read ({error.strerror or error}). Fix the cause{without}."
        ) from error


def _warn_if_empty(predictions: str) -> None:
    """Warns about a file that ends before its first record: complete or cut off, it contains nothing."""
    if ends_before_records(Path(predictions)):
        logging.warning(
            "%s ends before its first record. Run the command that wrote it again to continue it.",
            storage.display_name(predictions),
        )


def date_rules(values: flags.Values, deployments: str | None = None) -> DateRules:
    """The rules for dates from ``--clock_corrections`` and ``--date_from_name``.

    Args:
        values: The values of the two flags.
        deployments: The table of deployments, whose IDs may stand for folders in the clock corrections.

    Raises:
        InputError: The file or the pattern is invalid.
    """
    from speciesnet.survey.clocks import ClockCorrections
    from speciesnet.survey.dates import DateRules, NamePattern

    path, pattern = values[flags.CLOCK_CORRECTIONS], values[flags.DATE_FROM_NAME]
    return DateRules(
        None if pattern is None else NamePattern(pattern),
        None if path is None else ClockCorrections(path, _folders_of(deployments)),
    )


def _folders_of(deployments: str | None) -> dict[str, str]:
    from speciesnet.export.deployments import deployment_folders

    return deployment_folders(deployments) if deployments else {}


def survey_of(
    predictions: str,
    values: flags.Values,
    photographs: Photographs | None,
    corrections: Corrections | None = None,
    dates: DateRules | None = None,
    *,
    smooth_boxes: bool = False,
    only: Collection[str] | None = None,
) -> Survey:
    """The survey of a predictions file.

    Args:
        predictions: The file, on this machine.
        values: ``--corrections``, ``--model``, ``--sequence_gap`` and those of ``date_rules``.
        photographs: Where to find the photographs, for dates and positions.
        corrections: The corrections by path; by default those that ``--corrections`` names.
        dates: The rules for dates; by default those of ``date_rules``.
        smooth_boxes: Whether doubtful boxes follow the reliable ones in their sequence. Not for a
            review, which corrects the answers in the predictions.
        only: The photographs to read; None reads all.

    Raises:
        SpeciesNetError: As for ``load_survey``.
    """
    from speciesnet.survey.corrections import find_corrections
    from speciesnet.survey.survey import load_survey

    if corrections is None:
        corrections = find_corrections(predictions, values[flags.CORRECTIONS])
    dates = date_rules(values) if dates is None else dates
    dates.add_note(corrections.note, is_logged=True)
    return load_survey(
        predictions,
        photographs=photographs,
        corrections=corrections,
        model=values[flags.SURVEY_MODEL],
        gap=values[flags.SEQUENCE_GAP],
        dates=dates,
        smooth_boxes=smooth_boxes,
        only=only,
    )


def corrected_of(predictions: str, values: flags.Values, dates: DateRules) -> Iterator[Record]:
    """The records of a predictions file with corrected answers, without smoothing.

    Args:
        predictions: The file, on this machine.
        values: ``--corrections``.
        dates: Receives notes on the corrections.

    Raises:
        InputError: The named corrections cannot be read.
    """
    from speciesnet.predictions.reading import read_records
    from speciesnet.survey.corrections import corrected, find_corrections, noting_unmatched

    corrections = find_corrections(predictions, values[flags.CORRECTIONS])
    dates.add_note(corrections.note, is_logged=True)
    records = map(still_of, read_records(predictions))
    return corrected(noting_unmatched(records, corrections, dates.add_note), corrections)


def stones_of(survey: Survey, predictions: str, corrections: str) -> list[Stone]:
    """The boxes of a survey that never move, with the verdicts on them.

    Args:
        survey: The survey.
        predictions: Its predictions, on this machine.
        corrections: The file with the verdicts, the value of ``--corrections``.

    Raises:
        InputError: The corrections cannot be read.
    """
    from speciesnet.survey.corrections import find_verdicts
    from speciesnet.survey.stones import stones_in_pictures, with_verdicts

    return with_verdicts(
        stones_in_pictures(survey.pictures), find_verdicts(predictions, corrections)
    )


def records_of(
    predictions: str,
    values: flags.Values,
    photographs: Photographs | None,
    dates: DateRules | None = None,
    *,
    whole_films: bool = False,
) -> SmoothedRecords:
    """The records of a predictions file with corrected and smoothed answers, for exports.

    Args:
        predictions: The file, on this machine.
        values: ``--corrections``, ``--sequence_gap``, ``--smooth_boxes`` and those of ``date_rules``.
        photographs: Where to find the photographs, for dates.
        dates: The rules for dates; by default those of ``date_rules``.
        whole_films: Whether films keep the boxes of all their frames.

    Raises:
        InputError: The named corrections cannot be read.
    """
    from speciesnet.survey.corrections import find_corrections
    from speciesnet.survey.smoothed_records import SmoothedRecords

    corrections = find_corrections(predictions, values[flags.CORRECTIONS])
    dates = date_rules(values) if dates is None else dates
    dates.add_note(corrections.note, is_logged=True)
    return SmoothedRecords(
        predictions,
        corrections=corrections,
        photographs=photographs,
        dates=dates,
        gap=values[flags.SEQUENCE_GAP],
        smooth_boxes=values[flags.SMOOTH_BOXES],
        whole_films=whole_films,
    )
