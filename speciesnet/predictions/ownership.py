"""Whether a predictions file, and each of its records, belongs to a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from absl import logging

from speciesnet.errors import OutputError
from speciesnet.predictions.format5 import from_format5, is_format5, other_format
from speciesnet.predictions.reading import read_as_written
from speciesnet.predictions.settings import (
    FLAWED,
    RunSettings,
    film_settings,
    read_settings,
    settings_path,
)
from speciesnet.predictions.tally import Tally
from speciesnet.records import Instance, Record, in_file, record_errors


@dataclass(frozen=True)
class Ownership:
    """Checks that a predictions file belongs to a run: the settings next to it, and its records.

    Attributes:
        path: The file.
        name: Its name in messages.
        settings: The settings of the run.
        has_format5: Whether the run writes format 5.
    """

    path: Path
    name: str
    settings: RunSettings
    has_format5: bool

    def records(self) -> Iterator[Record]:
        """The records of the file as written, whatever its layout."""
        return read_as_written(self.path, display_name=self.name)

    def as_ours(self, record: Record) -> Record:
        """Converts a record of the file to one of this program.

        Raises:
            OutputError: Its format differs from that of the run.
            MalformedRecordError: It is malformed.
        """
        if not self.has_format5:
            if is_format5(record):
                raise other_format(self.name, 5, 4)
            return record
        with in_file(self.name), record_errors(record):
            return from_format5(record)

    def all_settings(self) -> dict[str, object]:
        """The settings to write; of those in the file, the flawed images and those of films are kept."""
        try:
            there = read_settings(self.path)
            kept = {**film_settings(there), **{k: there[k] for k in (FLAWED,) if k in there}}
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            kept = {}
        return {**kept, **self.settings.as_dict()}

    def check_settings(self) -> None:
        """Raises ``OutputError`` if the settings next to the file are those of another run.

        Settings that are missing or damaged are ignored.
        """
        try:
            differences = self.settings.differences(read_settings(self.path))
        except FileNotFoundError:
            return
        except (ValueError, TypeError, AttributeError, RecursionError):
            logging.warning("%s is damaged and ignored.", settings_path(self.path))
            return
        if differences:
            raise self._other_run("; ".join(differences))

    def check_record(self, record: Record, instance: Instance | None) -> None:
        """Refuses a record that the run would not have written.

        Args:
            record: The record, see ``as_ours``.
            instance: Its instance; None for an image that is not in the run.

        Raises:
            OutputError: Another run has written it.
            MalformedRecordError: It is malformed.
        """
        with in_file(self.name), record_errors(record):
            Tally().count(record)
            difference = self.settings.difference_in(record, instance)
        if difference:
            raise self._other_run(difference)

    def _other_run(self, difference: str) -> OutputError:
        return OutputError(
            f"{self.name} belongs to another run ({difference}). Use the settings of that run to "
            "continue it, pass a different file to --predictions_json, or add --ignore_existing to "
            "start over."
        )
