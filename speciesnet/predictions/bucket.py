"""The predictions file of a run whose output is in a bucket.

A bucket accepts only whole objects. So the run writes a working copy in the cache of this machine, which
is uploaded at intervals and at the end. An upload replaces only the version that this run knows: two runs
never overwrite each other.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from absl import logging
from typing_extensions import Unpack

from speciesnet.constants import RUN_ENDING
from speciesnet.errors import (
    CredentialsError,
    ObjectChangedError,
    OutputError,
    file_errors,
)
from speciesnet.files import storage
from speciesnet.files.atomic import ExclusiveLock, backup_name, numbered_names, write_atomically
from speciesnet.files.packages.downloads import cache_folder
from speciesnet.predictions.file import OutputOptions, PredictionsFile, check_output_path
from speciesnet.predictions.settings import RunSettings, settings_path
from speciesnet.records import Instance, Record

UPLOAD_SECONDS = 60.0  # between uploads: what the loss of this machine may cost
UPLOAD_SHARE = 0.1  # the most time that uploads of a large file over a slow line may take
LAST_UPLOAD_SECONDS = 300.0  # how long the last upload is retried
PAUSE_SECONDS = 5.0  # between these attempts


def open_predictions(
    path: str | os.PathLike[str],
    instances: Sequence[Instance],
    settings: RunSettings,
    **options: Unpack[OutputOptions],
) -> PredictionsFile:
    """The output of a run, on a disk or in a bucket; see ``PredictionsFile``."""
    path = os.fspath(path)
    kind = BucketPredictions if storage.is_cloud(path) else PredictionsFile
    return kind(path, instances, settings, **options)


def check_output(path: str) -> None:
    """Raises ``OutputError`` for a path or URL where a predictions file cannot be written."""
    if not storage.goes_to_bucket(path, "--predictions_json "):
        check_output_path(Path(path))
    elif path.endswith("/") or not path.partition("://")[2].partition("/")[2]:
        raise OutputError(
            f"--predictions_json {path} is a folder. Pass a file in it, such as "
            f"{path.rstrip('/')}/predictions.json."
        )


class BucketPredictions(PredictionsFile):
    """A predictions file in a bucket; used like ``PredictionsFile``.

    Opening it downloads the existing file, or continues the working copy of an earlier run on this
    machine that could not upload all of its records, if nobody has changed the file since. Closing it
    uploads the rest, with retries for ``LAST_UPLOAD_SECONDS``, and deletes the working copy.

    Args:
        url: The URL of the file.
        instances: The images of the run, in order.
        settings: The settings that two runs into one file must share; kept next to it.
        **options: See ``OutputOptions``.

    Raises:
        OutputError: As for ``PredictionsFile``; or the bucket cannot be read or written, or someone
            else has changed the file.
        CredentialsError: The credentials for the bucket have expired or are refused.
    """

    def __init__(
        self,
        url: str,
        instances: Sequence[Instance],
        settings: RunSettings,
        **options: Unpack[OutputOptions],
    ) -> None:
        self.url = url
        digest = hashlib.sha256(url.encode("utf-8", "replace")).hexdigest()
        self._folder = cache_folder() / "remote" / digest[:16]
        super().__init__(
            self._folder / "predictions.json",  # the working copy
            instances,
            settings,
            **options,
            display_name=url,
        )
        self._state_path = self._folder / "version.json"
        self._fetched_digest = ""
        self._sent_settings = b""
        self._version: str | None = None
        self._conflict: OutputError | None = None
        self._stopping = threading.Event()

    def write(self, records: Sequence[Record]) -> None:
        """Adds the records of all instances of one image.

        Raises:
            OutputError: The working copy cannot be written, or someone else has changed the file.
        """
        super().write(records)
        if self._conflict:
            raise self._conflict

    def __enter__(self) -> BucketPredictions:
        check_output(self.url)
        fix = "Fix the cause, or set SPECIESNET_CACHE to a different folder."
        copy = f"A working copy of {self.url}"
        with file_errors(OutputError, copy, f"written in {self._folder}", fix):
            self._folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            # A separate lock: the download precedes the working copy's lock, and the upload follows it.
            stack.enter_context(
                ExclusiveLock(
                    self._folder / "upload",
                    "another run on this machine",
                    "pass a different file to --predictions_json",
                    display_name=self.url,
                )
            )
            fix = "Fix the cause and run the same command again."
            with file_errors(OutputError, self.url, fix=fix):
                self._fetch()
            super().__enter__()
            with ExitStack() as closing:
                closing.push(lambda kind, *_: PredictionsFile._close(self, kind))
                try:
                    self._send_backups()
                    # It also shows, before the first image is read, whether the bucket can be written.
                    self._send_settings()
                except OSError as error:
                    raise self._cannot_send(error) from error
                closing.pop_all()
            self._lock = stack.pop_all()
        self._uploader = threading.Thread(target=self._upload_at_intervals, daemon=True)
        self._uploader.start()
        return self

    def _fetch(self) -> None:
        """Makes the working copy from the file that the run continues."""
        found = storage.version_of(self.url)
        tag = found.tag if found else None
        if self.path.exists():
            if self._noted_version() == (self.url, tag):
                logging.info(
                    "%s was only partly uploaded; continuing from the local copy %s.",
                    self.url,
                    self.path,
                )
                self._version = tag
                return
            kept = backup_name(self.path, ".unsent")
            self.path.rename(kept)
            logging.warning(
                "%s has been changed since a run on this machine failed to upload all of its "
                "records. They are kept in %s.",
                self.url,
                kept,
            )
        settings_path(self.path).unlink(missing_ok=True)
        if found is not None:
            with suppress(FileNotFoundError):
                storage.fetch(self._settings_url, settings_path(self.path))
            fetched = storage.fetch(self.url, self.path)
            tag = fetched.tag if fetched else None
            self._fetched_digest = storage.sha256(str(self.path))
        self._note_version(tag)

    def _upload_at_intervals(self) -> None:
        sent, pause = self.tally.images, UPLOAD_SECONDS
        while not self._stopping.wait(pause):
            pause, count = UPLOAD_SECONDS, self.tally.images
            if count == sent:
                continue
            start = time.monotonic()
            copy = self._folder / f"{self.path.name}.sending"
            try:
                self.snapshot(copy)
                self._send(copy)
                sent, pause = count, max(pause, (time.monotonic() - start) / UPLOAD_SHARE)
            except ObjectChangedError as error:
                self._conflict = self._cannot_send(error)
                return
            except (OSError, CredentialsError) as error:
                logging.warning(
                    "%s cannot be written now (%s). Trying again.", self.url, _reason(error)
                )
            finally:
                copy.unlink(missing_ok=True)

    def _close(self, kind: type[BaseException] | None) -> None:
        with self._lock:
            try:
                self._stopping.set()
                self._uploader.join()
            finally:  # even if an impatient user presses Ctrl-C again
                super()._close(kind)
            if self._conflict:
                if kind is None:
                    raise self._conflict
                return
            self._send_the_rest(patiently=kind is None)

    def _send_the_rest(self, *, patiently: bool) -> None:
        if self.path.exists() and storage.sha256(str(self.path)) != self._fetched_digest:
            pauses = storage.pauses_for(LAST_UPLOAD_SECONDS, PAUSE_SECONDS) if patiently else ()
            try:
                storage.retry(self._send_all, pauses, name=self.url)
            except (OSError, CredentialsError) as error:
                problem = self._cannot_send(error)
                if patiently:
                    raise problem from error
                logging.error("%s", problem)  # the run has ended for another reason
                return
        for path in (self.path, settings_path(self.path), self._state_path):
            path.unlink(missing_ok=True)

    def _send_all(self) -> None:
        self._send(self.path)
        if settings_path(self.path).read_bytes() != self._sent_settings:  # with results of this run
            self._send_settings()

    def _send(self, source: Path) -> None:
        """Replaces the object; the first time, also sends the settings that are needed to read it."""
        conflict = ObjectChangedError("it has since been changed by someone else")
        found = storage.version_of(self.url)
        if (found.tag if found else None) != self._version:
            raise conflict
        try:
            version = storage.upload(source, self.url, self._version)
        except ObjectChangedError as error:
            raise conflict from error
        is_first = self._version is None
        self._note_version(version.tag)
        if is_first:
            self._send_settings()

    def _send_settings(self) -> None:
        content = settings_path(self.path).read_bytes()
        storage.replace(settings_path(self.path), self._settings_url)
        self._sent_settings = content

    def _send_backups(self) -> None:
        """Moves the backups made when the working copy was opened into the bucket."""
        for backup in sorted(self._folder.glob(f"{self.path.name}.bak*")):
            names = numbered_names(f"{self.url}.bak")
            name = next(name for name in names if storage.version_of(name) is None)
            storage.upload(backup, name, None)
            logging.info("%s is kept as %s.", self.url, name)
            backup.unlink()

    def _cannot_send(self, error: Exception) -> OutputError:
        fix = (
            "Pass a different file to --predictions_json"
            if isinstance(error, ObjectChangedError)
            else "Fix the cause and run the same command again"
        )
        kept = f"; the records of this machine are kept in {self.path}" if self.tally.images else ""
        return OutputError(f"{self.url} cannot be written ({_reason(error)}). {fix}{kept}.")

    @property
    def _settings_url(self) -> str:
        return f"{self.url}{RUN_ENDING}"

    def _note_version(self, tag: str | None) -> None:
        """Remembers, in memory and on disk, the version of the object that the working copy continues."""
        self._version = tag
        with write_atomically(self._state_path, unique=False) as part:
            part.write_text(json.dumps({"url": self.url, "version": tag}), encoding="utf-8")

    def _noted_version(self) -> tuple[str, str | None] | None:
        try:
            state = json.loads(self._state_path.read_text(encoding="utf-8"))
            return state["url"], state["version"]
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _reason(error: Exception) -> str:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return reason.rstrip(".")
