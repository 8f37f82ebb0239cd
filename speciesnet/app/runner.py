"""Runs surveys one at a time, each as a command in its own process, and watches them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from speciesnet.app import jobs, logs
from speciesnet.app.commands import run_line
from speciesnet.app.errors import PageError, bad_request
from speciesnet.app.folders import Folders, gone
from speciesnet.app.progress import Follower
from speciesnet.app.surveys import ACTIVE, Survey, Surveys
from speciesnet.errors import SpeciesNetError

TICK_SECONDS = 0.5
CATCH_UP_SECONDS = 0.02  # between two parts of a long file, so that pages get responses
FOLDER_SECONDS = 2.0  # between two checks of the folders
_CLOSED = (
    "The window was closed, or the computer was switched off, while this survey was running; "
    "continue it."
)


class Process(Protocol):
    """A run: a child process, or one left by an earlier window."""

    pid: int

    def poll(self) -> int | None:
        """The exit code, or None while it is running."""
        ...


class LeftProcess:
    """A run whose window was killed. Its lock shows whether it is still running.

    Args:
        survey: Its survey.
    """

    def __init__(self, survey: Survey) -> None:
        self.pid = survey.pid
        self._survey = survey

    def poll(self) -> int | None:
        """0 if its log ends like that of a complete run, otherwise 1."""
        lock = Path(f"{self._survey.predictions}.lock")
        if lock.exists():
            try:
                with FileLock(lock, timeout=0):
                    pass
            except (Timeout, OSError):
                return None
        ends = logs.tail(Path(self._survey.log)) if self._survey.log else []
        return 0 if any(line.startswith("Predictions: ") for line in ends) else 1


class Runner:
    """The queue of the window.

    Args:
        surveys: The surveys.
        folders: Counts their photographs.

    Attributes:
        started: When the current run started, by the monotonic clock.
    """

    def __init__(self, surveys: Surveys, folders: Folders) -> None:
        self._surveys = surveys
        self._folders = folders
        self._running: tuple[Survey, Process] | None = None
        self._followers: dict[str, Follower] = {}
        self._looked = 0.0
        self._closing = threading.Event()
        self.started = 0.0
        self._adopt()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _adopt(self) -> None:
        """Finds out what happened to the run of an earlier window."""
        for survey in self._surveys.all():
            if survey.state not in ACTIVE:
                continue
            process = LeftProcess(survey)
            code = process.poll()
            if code is None and self._running is None:
                self._running, self.started = (survey, process), time.monotonic()
            elif code == 0:
                survey.set_state("done")
            else:
                survey.set_state("stopped", _CLOSED, "go_on")

    def follower(self, survey: Survey) -> Follower:
        """The object that counts the records of a survey."""
        with self._surveys.lock:
            found = self._followers.get(survey.id)
            if found is None or str(found.path) != survey.predictions:
                found = self._followers[survey.id] = Follower(Path(survey.predictions))
            return found

    @property
    def running(self) -> Survey | None:
        """The survey that is running."""
        return self._running[0] if self._running else None

    def enqueue(self, survey: Survey) -> None:
        """Adds a survey to the queue, to be started or continued; raises ``PageError``."""
        with self._surveys.lock:
            if not survey.folders:
                raise bad_request("Choose the folder with the photographs.", "choose_folder")
            if missing := missing_folders(survey):
                raise gone(missing[0])
            if survey.state in ACTIVE:
                raise PageError(409, "is_running", "The survey is running.")
            paused = self._surveys.held and survey.state == "paused"
            self._surveys.held = False
            if survey.id not in self._surveys.queue:
                self._surveys.queue.insert(0 if paused else len(self._surveys.queue), survey.id)
            survey.set_state("waiting")
            self._surveys.save()

    def stop(self, survey: Survey, *, pause: bool) -> None:
        """Stops a run so that it can be continued later; a pause also holds the queue."""
        with self._surveys.lock:
            if survey.id in self._surveys.queue:
                self._surveys.queue.remove(survey.id)
                survey.set_state("paused" if pause else "stopped")
            elif self._running and self._running[0] is survey:
                if survey.state == "running":
                    jobs.interrupt(self._running[1].pid)
                survey.set_state("pausing" if pause else "stopping")
            self._surveys.held = pause
            self._surveys.save()

    def close(self) -> None:
        """Interrupts the run and waits until its file is complete."""
        self._closing.set()
        self._thread.join()
        with self._surveys.lock:
            if self._running is None:
                return
            survey, process = self._running
            if survey.state == "running":
                jobs.interrupt(process.pid)
                survey.set_state("pausing")
            end = time.monotonic() + jobs.STOP_SECONDS
            while process.poll() is None and time.monotonic() < end:
                time.sleep(0.05)
            if process.poll() is not None:
                self._finish(survey, process)
            self._surveys.held = bool(self._surveys.queue)
            self._surveys.save()

    def _watch(self) -> None:
        while True:
            # The run's log reports a full disk or a damaged file; the window keeps working.
            with suppress(PageError, SpeciesNetError, OSError):
                with self._surveys.lock:
                    self._tick()
                for one in list(self._followers.values()):
                    if one.is_behind or (
                        self.running and str(one.path) == self.running.predictions
                    ):
                        one.advance()
            is_behind = any(one.is_behind for one in list(self._followers.values()))
            if self._closing.wait(CATCH_UP_SECONDS if is_behind else TICK_SECONDS):
                return

    def _tick(self) -> None:
        """Checks the run, and starts the next one if it has ended."""
        if self._running:
            survey, process = self._running
            if process.poll() is not None:
                self._finish(survey, process)
            elif survey.state == "running" and time.monotonic() - self._looked > FOLDER_SECONDS:
                self._looked = time.monotonic()
                if missing := missing_folders(survey):
                    jobs.interrupt(process.pid)
                    survey.set_state("stopping", str(gone(missing[0])))
        if self._running is None and self._surveys.queue and not self._surveys.held:
            self._start(self._surveys.get(self._surveys.queue.pop(0)))

    def _start(self, survey: Survey) -> None:
        log = self._surveys.folder / "logs" / f"{survey.id}.log"
        try:
            if missing := missing_folders(survey):
                raise gone(missing[0])
            Path(survey.predictions).parent.mkdir(parents=True, exist_ok=True)
            process = jobs.start(run_line(survey), log)
        except OSError as error:
            name = error.filename or survey.predictions
            sentence = (
                f"{name} cannot be written ({error.strerror or error}); continue once it can."
            )
            survey.set_state("failed", sentence, "free_space")
        except PageError as error:
            survey.set_state("failed", str(error), "choose_folder")
        else:
            self._folders.count(survey.folders, again=True)
            survey.log, survey.pid = str(log), process.pid
            survey.set_state("running")
            self._running, self.started = (survey, process), time.monotonic()
            self.follower(survey).restart_clock()
        self._surveys.save()

    def _finish(self, survey: Survey, process: Process) -> None:
        code, log = process.poll(), Path(survey.log)
        assert code is not None
        self._running = None
        survey.pid = 0
        if missing := missing_folders(survey):  # photographs on a missing drive would only fail
            survey.set_state("failed", str(gone(missing[0])), "go_on")
        elif code == 0:
            survey.set_state("done", logs.sentence_on_failures(log))
        elif survey.state == "pausing":
            survey.set_state("paused", logs.last_sentence(log), "go_on")
        elif survey.state == "stopping":
            survey.set_state("stopped", logs.last_sentence(log), "go_on")
        else:
            sentence = logs.reason_of_end(code, log)
            survey.set_state("failed", sentence, logs.action_for(sentence) or "go_on")
        self.follower(survey).is_behind = True
        self._surveys.save()


def missing_folders(survey: Survey) -> Sequence[str]:
    """The folders of a survey that are missing at the moment."""
    return [folder for folder in survey.folders if not Path(folder).is_dir()]
