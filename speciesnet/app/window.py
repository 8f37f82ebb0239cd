"""The surveys, jobs, reviews and queue of one window, for its routes."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import speciesnet
from speciesnet.app import commands, jobs, logs
from speciesnet.app.choices import PUBLISHED_BYTES, download_folders, models
from speciesnet.app.errors import PageError, bad_request, not_saved
from speciesnet.app.folders import Folders, gone, total_of
from speciesnet.app.helpers import Helpers, Work
from speciesnet.app.jobs import Job
from speciesnet.app.positions import with_table
from speciesnet.app.progress import Shown, all_pictures
from speciesnet.app.reviews import Reviews
from speciesnet.app.runner import Runner, missing_folders
from speciesnet.app.surveys import ACTIVE, Survey, Surveys
from speciesnet.errors import InputError
from speciesnet.files.input_notes import InputNotes
from speciesnet.files.listing import images_in

TICKET = "window.ticket"  # a file, see ``Gate``
MAX_JOBS = 200  # remembered
PHOTOGRAPH_BYTES, FILM_BYTES = 2_000, 20_000  # for each of their records
WITHOUT_PREDICTIONS = ("estimate", "trial")  # jobs that do not need a predictions file


class Window:
    """The state and actions behind the pages.

    Args:
        folder: The data folder of the window.

    Attributes:
        folders: The folders that pages may name.
        surveys: The surveys.
        runner: The queue.
        reviews: The reviews that are open.
        ticket: See ``Gate``.
    """

    def __init__(self, folder: Path) -> None:
        self.folders = Folders()
        self.surveys = Surveys(folder)
        for survey in self.surveys.all():
            self.folders.admit([*survey.folders, survey.results, survey.predictions])
            self.folders.admit(str(Path(one).parent) for one in survey.folders)
            self.folders.admit([str(survey.cameras.get("deployments", survey.results))])
        self.runner = Runner(self.surveys, self.folders)
        self._helpers = Helpers(folder)
        self.reviews = Reviews(self.surveys, self._helpers)
        self.ticket = folder / TICKET
        self._folder = folder
        self._jobs: dict[str, Job] = {}

    def close(self) -> None:
        """Stops the run and all jobs, and waits until the run has saved its results."""
        for job in self._jobs.values():
            job.stop()
        self._helpers.close()
        self.runner.close()

    def describe(self, survey: Survey) -> dict[str, object]:
        """A survey as sent to pages."""
        facts = asdict(survey)
        del facts["log"], facts["pid"]
        return {
            **facts,
            "command": str(commands.run_line(survey)) if survey.folders else None,
            "done": self.runner.follower(survey).done,
            "has_predictions": survey.has_predictions,
            "pages": [
                name
                for name in commands.PAGES
                if Path(survey.results, name, "index.html").is_file()
            ],
            "has_thresholds": Path(survey.results, commands.THRESHOLDS).is_file(),
            "missing": missing_folders(survey),
        }

    def counted(self, survey: Survey) -> Survey:
        """Starts counting the files of a survey if necessary, and stores the count in it."""
        if survey.folders and not missing_folders(survey):
            count = self.folders.count(survey.folders)
            if count.done or survey.counts is None:  # better than an incomplete count
                survey.counts = asdict(count)
        return survey

    def overview(self) -> dict[str, object]:
        """All surveys and the queue."""
        running = self.runner.running
        return {
            "surveys": [self.describe(survey) for survey in self.surveys.all()],
            "queue": [*([running.id] if running else []), *self.surveys.queue],
            "held": self.surveys.held,
            "version": speciesnet.__version__,
            "free_bytes": free_bytes(self._folder),
        }

    def progress(self, survey: Survey) -> dict[str, object]:
        """The progress of a survey's run."""
        follower = self.runner.follower(survey)
        is_active = survey.state in ACTIVE
        if not is_active and not follower.is_behind:
            follower.advance()
        log = Path(survey.log) if survey.log else None
        found = follower.as_json(f"/surveys/{survey.id}/thumbs", log, is_running=is_active)
        total = total_of(self.counted(survey).counts)
        rate = found["rate"] if is_active else None
        left = None
        if isinstance(rate, float) and total is not None:
            left = max(total - follower.done, 0) / rate
        return {
            **found,
            "rate": rate,
            "seconds_left": left,
            "total": total,
            "seconds": time.monotonic() - self.runner.started if is_active else None,
            "state": survey.state,
            "sentence": survey.sentence,
            "action": survey.action,
            "log": logs.tail(log) if log else [],
            "download": self._download_of(survey) if is_active and not follower.done else None,
        }

    def _download_of(self, survey: Survey) -> dict[str, object] | None:
        """What a run that has just started still has to download."""
        model = next((one for one in models() if one["name"] == survey.model), None)
        if model is None or model["on_disk"]:
            return None
        return {"done_bytes": model["bytes_here"], "total_bytes": model["bytes"]}

    def place(self, latitude: float, longitude: float) -> object:
        """The country (and, in the USA, the state) of the town nearest to a position, in degrees."""
        helper = self._helpers.get("places", Work())
        with helper.ask("GET", f"/place?latitude={latitude}&longitude={longitude}", {}) as answer:
            return json.load(answer)

    def start_job(self, survey: Survey, kind: str, options: Mapping[str, object]) -> Job:
        """Starts a command for a survey; raises ``PageError``."""
        if kind not in commands.EXPORTS and kind not in WITHOUT_PREDICTIONS:
            raise bad_request(f"There is no job {kind!r}.")
        if any(
            one.survey == survey.id and one.kind == kind and one.state == "running"
            for one in self.jobs()
        ):
            raise PageError(409, "is_running", "The same command is already running.", "wait")
        if kind in WITHOUT_PREDICTIONS:
            if missing := missing_folders(survey):
                raise gone(missing[0])
            if kind == "trial":
                return self._trial(survey)
            return self._start(survey.id, kind, commands.estimate_line(survey), self._disk(survey))
        survey.check_predictions()
        if "deployments" in commands.EXPORTS[kind]:
            table = self._folder / "positions" / f"{survey.id}.csv"
            options = with_table(options, survey, table, self.folders)
            self.surveys.save()
        line = commands.export_line(kind, survey, options, self.folders)
        with suppress(OSError):  # the command gives the reason
            Path(survey.results).mkdir(parents=True, exist_ok=True)
        return self._start(survey.id, kind, line)

    def _disk(self, survey: Survey) -> dict[str, object]:
        count = self.folders.count(survey.folders)
        needed = count.photographs * PHOTOGRAPH_BYTES + count.films * FILM_BYTES
        return {"disk_needed": needed, "disk_free": free_bytes(Path(survey.results))}

    def _trial(self, survey: Survey) -> Job:
        folder = self._folder / "trials" / survey.id
        try:
            paths = [path for one in survey.folders for path in images_in(one, InputNotes())]
        except InputError as error:
            raise PageError(404, "folder_gone", str(error), "choose_folder") from error
        if not paths:
            raise PageError(
                422, "no_images", "There are no photographs in the folder.", "choose_folder"
            )
        count = min(commands.TRIAL_IMAGES, len(paths))
        chosen = [paths[len(paths) * number // count] for number in range(count)]
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            (folder / "images.txt").write_text("\n".join(chosen), "utf-8", "surrogateescape")
        except OSError as error:
            raise not_saved(folder, error) from error
        line = commands.trial_line(survey, folder / "images.txt", folder / "predictions.json")
        return self._start(survey.id, "trial", line, {"images": count})

    def trial_pictures(self, survey: Survey) -> Sequence[Shown]:
        """The photographs of the trial run, with their answers."""
        return all_pictures(self._folder / "trials" / survey.id / "predictions.json")

    def models(self) -> list[dict[str, object]]:
        """The models, and the job that downloads one."""
        job = self._running_download()
        return [
            {**one, "job": job.id if job and job.values["model"] == one["name"] else None}
            for one in models()
        ]

    def download(self, model: object) -> Job:
        """Downloads and prepares a model, unless a download is running; raises ``PageError``."""
        if not isinstance(model, str) or model not in [one["name"] for one in models()]:
            raise bad_request("Choose a model from the list.")
        if running := self._running_download():
            return running
        line = commands.Line(["prepare", "--model", model])
        values = {"model": model, "total_bytes": PUBLISHED_BYTES}
        job = self._start(None, "download", line, values)
        job.watched = download_folders(model)
        return job

    def _running_download(self) -> Job | None:
        running = (one for one in self.jobs() if one.kind == "download" and one.state == "running")
        return next(running, None)

    def _start(
        self,
        survey: str | None,
        kind: str,
        line: commands.Line,
        values: dict[str, object] | None = None,
    ) -> Job:
        log = self._folder / "logs" / f"{survey or 'window'}-{kind}.log"
        try:
            process = jobs.start(line, log)
        except OSError as error:
            raise not_saved(log, error) from error
        job = Job(kind, survey, line, log, process, values or {})
        for old in [one.id for one in self.jobs()[MAX_JOBS:] if one.state != "running"]:
            del self._jobs[old]
        self._jobs[job.id] = job
        return job

    def jobs(self) -> list[Job]:
        """All jobs, newest first."""
        return list(self._jobs.values())[::-1]

    def job(self, identifier: str) -> Job:
        """A job; raises ``PageError``."""
        if identifier not in self._jobs:
            raise PageError(404, "no_job", "There is no such job; the window was restarted.")
        return self._jobs[identifier]

    def forget(self, survey: Survey) -> None:
        """Removes a survey from the list."""
        self.surveys.forget(survey)
        self._helpers.end(survey.id)
        shutil.rmtree(self._folder / "trials" / survey.id, ignore_errors=True)
        (self._folder / "positions" / f"{survey.id}.csv").unlink(missing_ok=True)


def free_bytes(path: Path) -> int | None:
    """The free space on the disk of a folder, which need not exist yet."""
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return None
