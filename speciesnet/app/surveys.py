"""The surveys in the window: a list in the user's data folder."""

from __future__ import annotations

import json
import os
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

import platformdirs

from speciesnet.app.errors import Action, PageError, bad_request, not_saved
from speciesnet.app.folders import Folders
from speciesnet.app.survey_fields import checked_fields
from speciesnet.errors import OutputError
from speciesnet.files.atomic import numbered_names, write_atomically
from speciesnet.files.packages.info import DEFAULT_MODEL
from speciesnet.files.paths import safe_name

State = Literal[
    "new", "waiting", "running", "pausing", "paused", "stopping", "stopped", "failed", "done"
]
ACTIVE = ("running", "pausing", "stopping")


def data_folder() -> Path:
    """The folder of the window's own files: ``SPECIESNET_DATA``, if set."""
    folder = os.environ.get("SPECIESNET_DATA")
    return Path(folder) if folder else Path(platformdirs.user_data_dir("speciesnet", False))


def now() -> str:
    """The current time, ISO 8601 in UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


@dataclass
class Survey:
    """A survey, with the choices of its run.

    Attributes:
        id: Its identifier in addresses and file names.
        name: The name shown on pages.
        folders: The folders of its photographs; none if only its predictions are known.
        place: ``kind``, and for a country its ``country`` and ``region``.
        species_list: The file that lists the taxa that can occur, or None.
        species_fill: See ``--species_list_fill``.
        model: The model package.
        options: The values of some flags of the run.
        results: The folder for everything that is written.
        predictions: The predictions file.
        state: Its state.
        sentence: The last sentence of its run, or None.
        action: The action that fixes an error, or None.
        cameras: Where the cameras were, as last sent by the page; see ``positions.CAMERAS``.
        counts: The files in its folders, see ``Count``; None if they were never counted.
        log: The log of its last run, or "".
        pid: The process of its run, or 0.
        created: When it was added.
        changed: When it was last changed.
    """

    id: str
    name: str
    folders: list[str]
    results: str
    predictions: str
    place: dict[str, str | None] = field(default_factory=lambda: {"kind": "none"})
    species_list: str | None = None
    species_fill: bool = False
    model: str = DEFAULT_MODEL
    options: dict[str, object] = field(default_factory=dict)
    state: State = "new"
    sentence: str | None = None
    action: Action | None = None
    cameras: dict[str, object] = field(default_factory=dict)
    counts: dict[str, object] | None = None
    log: str = ""
    pid: int = 0
    created: str = field(default_factory=now)
    changed: str = field(default_factory=now)

    @property
    def has_predictions(self) -> bool:
        """Whether there is a predictions file."""
        return Path(self.predictions).is_file()

    def check_predictions(self) -> None:
        """Raises ``PageError`` if there is no predictions file."""
        if not self.has_predictions:
            sentence = "This survey has no predictions yet; run it first."
            raise PageError(409, "no_predictions", sentence, "run_first")

    def check_not_running(self) -> None:
        """Raises ``PageError`` if its run has not ended."""
        if self.state in ACTIVE:
            raise PageError(409, "is_running", "Stop the survey first; it is running.")

    def set_state(
        self, state: State, sentence: str | None = None, action: str | None = None
    ) -> None:
        """Changes the state, with the reason."""
        self.state, self.sentence, self.changed = state, sentence, now()
        self.action = {"name": action, "survey": self.id} if action else None


class Surveys:
    """The list of surveys on disk, and the queue.

    Args:
        folder: The data folder of the window.

    Attributes:
        queue: The identifiers of the waiting surveys, next one first.
        held: Whether the queue is paused.
        lock: Protects all of these.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        self.queue: list[str] = []
        self.held = False
        self._path = folder / "surveys.json"
        self._surveys: dict[str, Survey] = {}
        if self._path.exists():
            self._read()

    def _read(self) -> None:
        try:
            stored = json.loads(self._path.read_text(encoding="utf-8"))
            known = {one.name for one in fields(Survey)}
            for values in stored["surveys"]:
                survey = Survey(**{key: values[key] for key in values.keys() & known})
                self._surveys[survey.id] = survey
            self.queue, self.held = stored["queue"], stored["held"]
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise OutputError(
                f"The list of surveys {self._path} cannot be read ({error}); move it away to start a "
                "new one."
            ) from error

    def save(self) -> None:
        """Writes the list; raises ``PageError`` if the disk is full or cannot be written."""
        with self.lock:
            value = {
                "surveys": [asdict(survey) for survey in self._surveys.values()],
                "queue": self.queue,
                "held": self.held,
            }
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                with write_atomically(self._path) as part:
                    part.write_text(json.dumps(value), encoding="utf-8")
            except OSError as error:
                raise not_saved(f"The list of surveys {self._path}", error) from error

    def all(self) -> list[Survey]:
        """All surveys, most recently changed first."""
        with self.lock:
            return sorted(self._surveys.values(), key=lambda one: one.changed, reverse=True)

    def get(self, identifier: str) -> Survey:
        """A survey; raises ``PageError``."""
        with self.lock:
            if identifier not in self._surveys:
                raise PageError(
                    404,
                    "no_survey",
                    "There is no such survey; it may have been removed from the list.",
                    "show_surveys",
                )
            return self._surveys[identifier]

    def add(self, values: Mapping[str, object], folders: Folders) -> Survey:
        """Adds a survey of photographs or of existing predictions; raises ``PageError``."""
        given = dict(values)
        path = given.pop("predictions", None)
        if path is not None:
            path = folders.check(path)
        elif not given.get("folders"):
            raise bad_request("Choose the folder with the photographs.")
        with self.lock:
            name = _default_name(path, given.get("folders"))
            survey = Survey(secrets.token_hex(6), name, [], "", path or "")
            if path:
                survey.results, survey.state = str(Path(path).parent), "done"
            _change(survey, given, folders)
            if not survey.results:
                survey.results = str(self._new_results(survey.name))
            survey.predictions = path or str(Path(survey.results, "predictions.json"))
            if any(one.predictions == survey.predictions for one in self._surveys.values()):
                raise PageError(
                    409, "results_in_use", f"{survey.predictions} belongs to a survey in the list."
                )
            with self._saved():
                self._surveys[survey.id] = survey
            return survey

    def _new_results(self, name: str) -> Path:
        parent = Path(platformdirs.user_documents_dir(), "SpeciesNet")
        used = {one.results for one in self._surveys.values()}
        names = (parent / one for one in numbered_names(safe_name(name)))
        return next(one for one in names if str(one) not in used and not one.exists())

    def edit(self, survey: Survey, values: Mapping[str, object], folders: Folders) -> None:
        """Changes a survey that is not running; raises ``PageError``."""
        with self.lock:
            survey.check_not_running()
            _change(survey, values, folders)
            if "results" in values and not survey.has_predictions:
                survey.predictions = str(Path(survey.results, "predictions.json"))
            survey.counts, survey.changed = None, now()
            self.save()

    def forget(self, survey: Survey) -> None:
        """Removes a survey from the list; its files are kept."""
        with self.lock:
            survey.check_not_running()
            with self._saved():
                del self._surveys[survey.id]
                self.queue = [one for one in self.queue if one != survey.id]

    @contextmanager
    def _saved(self) -> Iterator[None]:
        """Saves the list that the block changes; reverts the change if it cannot be written."""
        before = dict(self._surveys), self.queue
        try:
            yield
            self.save()
        except PageError:
            self._surveys, self.queue = before
            raise


def _change(survey: Survey, values: Mapping[str, object], folders: Folders) -> None:
    """Sets the fields that a page sends; raises ``PageError`` and sets none if any is invalid."""
    for key, value in checked_fields(values, folders).items():
        setattr(survey, key, value)


def _default_name(path: str | None, folders: object) -> str:
    if path:
        return Path(path).parent.name or "Survey"
    first = folders[0] if isinstance(folders, list) and folders else ""
    return (Path(first).name if isinstance(first, str) else "") or "Survey"
