"""The predictions file of a run whose output lies in a bucket.

A bucket takes only whole objects. So the run writes a file in the cache of this machine as any run
does, and that is uploaded now and then and at the end. An object is replaced at once, and only the
version that this run knows of: two runs never overwrite each other.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from absl import logging
from filelock import FileLock, Timeout

from speciesnet.constants import RUN_ENDING
from speciesnet.errors import OutputError
from speciesnet.files import storage
from speciesnet.files.clouds import BrokenConnectionError, CredentialsError, ObjectChangedError
from speciesnet.instances import Instance
from speciesnet.packages.downloads import cache_folder
from speciesnet.predictions.file import (
    PredictionsFile,
    RunSettings,
    check_output_path,
    settings_path,
)
from speciesnet.records import Record

UPLOAD_SECONDS = 60.0  # between uploads: what the loss of this machine may cost
UPLOAD_SHARE = 0.1  # of the time, at most, is spent uploading a large file over a slow line
LAST_UPLOAD_SECONDS = 300.0  # how long the last upload is tried again
PAUSE_SECONDS = 5.0  # between these attempts


def open_predictions(
    path: str | os.PathLike[str],
    instances: Sequence[Instance],
    settings: RunSettings,
    *,
    ignore_existing: bool = False,
) -> PredictionsFile:
    """The output of a run, on a disk or in a bucket; see ``PredictionsFile``."""
    path = os.fspath(path)
    kind = RemotePredictionsFile if storage.is_cloud(path) else PredictionsFile
    return kind(path, instances, settings, ignore_existing=ignore_existing)


def check_output(path: str) -> None:
    """Raises ``OutputError`` for a path or URL that cannot become a predictions file."""
    scheme = storage.scheme_of(path)
    if scheme is None:
        check_output_path(Path(path))
    elif not storage.is_cloud(path):
        raise OutputError(
            f"--predictions_json {path} is on the web, where nothing can be written; give a file on a "
            "disk or in a bucket."
        )
    elif path.endswith("/") or not path.partition("://")[2].partition("/")[2]:
        raise OutputError(
            f"--predictions_json {path} is a folder; give a file in it, such as "
            f"{path.rstrip('/')}/predictions.json."
        )


class RemotePredictionsFile(PredictionsFile):
    """As ``PredictionsFile``, for a URL in a bucket.

    Opening it fetches what is there; or else, if an earlier run on this machine could not send all
    that it had and nobody has changed the file since, goes on with that. Closing it uploads the rest,
    and tries for ``LAST_UPLOAD_SECONDS``; the working copy goes once it is sent.

    Args:
        url: The file.
        instances: The images of the run, in order.
        settings: What must not have changed since the file was begun; kept beside it.
        ignore_existing: Begins anew; an existing file is kept under the name ``*.bak``.

    Raises:
        OutputError: As for ``PredictionsFile``; or the bucket cannot be read or written, or somebody
            else has changed the file.
        CredentialsError: Those for the bucket have expired or are refused.
    """

    def __init__(
        self,
        url: str,
        instances: Sequence[Instance],
        settings: RunSettings,
        *,
        ignore_existing: bool = False,
    ) -> None:
        self.url = url
        self._folder = (
            cache_folder()
            / "remote"
            / hashlib.sha256(url.encode("utf-8", "replace")).hexdigest()[:16]
        )
        path = self._folder / "predictions.json"
        super().__init__(path, instances, settings, ignore_existing=ignore_existing)
        self._state_path = self._folder / "version.json"
        self._fetched = ""  # digest of what was there
        self._version: str | None = None
        self._changed: OutputError | None = None
        self._stopping = threading.Event()

    def __enter__(self) -> RemotePredictionsFile:
        check_output(self.url)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._own = FileLock(self._folder / "lock", timeout=0)
            self._own.acquire()
        except Timeout as error:
            raise OutputError(
                f"{self.url} is being written by another run on this machine; wait for it, or give "
                "another file to --predictions_json."
            ) from error
        except OSError as error:
            raise OutputError(
                f"There is no room for a working copy of {self.url} in {self._folder} "
                f"({error.strerror or error}); mend that, or set SPECIESNET_CACHE to another folder."
            ) from error
        try:
            self._begin()
        except BaseException:
            self._own.release()
            raise
        self._uploader = threading.Thread(target=self._upload_now_and_then, daemon=True)
        self._uploader.start()
        return self

    def _begin(self) -> None:
        try:
            self._fetch()
            super().__enter__()
        except OutputError as error:
            if isinstance(error.__cause__, OSError):  # of this machine
                raise
            raise OutputError(str(error).replace(str(self.path), self.url)) from error
        except OSError as error:
            raise OutputError(
                f"{self.url} cannot be read ({error.strerror or error}); mend that and give the same "
                "command again."
            ) from error
        try:
            self._send_backups()
            # Also shows, before the first image is read, whether the bucket can be written.
            self._send_settings()
        except OSError as error:
            super().__exit__(type(error), error, None)
            raise self._cannot_send(error) from error
        except BaseException as error:
            super().__exit__(type(error), error, None)
            raise

    def _fetch(self) -> None:
        """Brings the working copy to what the run goes on with."""
        there = storage.version_of(self.url)
        tag = there.tag if there else None
        if self.path.exists():
            if self._noted_version() == (self.url, tag):
                logging.info("%s was not sent in full: %s is gone on with.", self.url, self.path)
                self._version = tag
                return
            kept = next(
                p for n in range(10_000) if not (p := self._beside(f".unsent{n or ''}")).exists()
            )
            self.path.rename(kept)
            logging.warning(
                "%s was changed since a run on this machine could not send all of its records: they are "
                "kept in %s.",
                self.url,
                kept,
            )
        settings_path(self.path).unlink(missing_ok=True)
        if there is not None:
            with suppress(FileNotFoundError):
                storage.fetch(self._settings_url, settings_path(self.path))
            fetched = storage.fetch(self.url, self.path)
            tag = fetched.tag if fetched else None
            self._fetched = storage.sha256(str(self.path))
        self._note_version(tag)

    def write(self, records: Sequence[Record]) -> None:
        """As ``PredictionsFile.write``; raises ``OutputError`` too once somebody has changed the file."""
        super().write(records)
        if self._changed:
            raise self._changed

    def _upload_now_and_then(self) -> None:
        sent, pause = self.tally.images, UPLOAD_SECONDS
        while not self._stopping.wait(pause):
            pause, count = UPLOAD_SECONDS, self.tally.images
            if count == sent:
                continue
            begin = time.monotonic()
            copy = self._beside(".sending")
            try:
                self.snapshot(copy)
                self._send(copy)
                sent, pause = count, max(pause, (time.monotonic() - begin) / UPLOAD_SHARE)
            except ObjectChangedError as error:
                self._changed = self._cannot_send(error)
                return
            except (OSError, CredentialsError) as error:
                self._warn(error)
            finally:
                copy.unlink(missing_ok=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            try:
                self._stopping.set()
                self._uploader.join()
            finally:  # also for who is in a hurry
                super().__exit__(kind, error, trace)
            if self._changed:
                if kind is None:
                    raise self._changed
                return
            self._send_the_rest(patiently=kind is None)
        finally:
            self._own.release()

    def _send_the_rest(self, *, patiently: bool) -> None:
        if not self.path.exists() or storage.sha256(str(self.path)) == self._fetched:
            self._clear()
            return
        deadline = time.monotonic() + LAST_UPLOAD_SECONDS
        while True:
            try:
                self._send(self.path)
            except (OSError, CredentialsError) as error:
                problem = self._cannot_send(error)
                if not patiently:  # the run has ended for another reason, which is told
                    logging.error("%s", problem)
                    return
                if not isinstance(error, BrokenConnectionError) or time.monotonic() > deadline:
                    raise problem from error
                self._warn(error)
                time.sleep(PAUSE_SECONDS)
            else:
                self._clear()
                return

    def _send(self, source: Path) -> None:
        """Replaces the object; and with the first one its settings, which it cannot be read without."""
        note = uuid.uuid4().hex
        there = storage.version_of(self.url)
        if (there.tag if there else None) != self._version:
            raise ObjectChangedError("it was changed by somebody else since")
        try:
            version = storage.upload(source, self.url, self._version, note)
        except ObjectChangedError as error:
            # Or the answer to the first attempt was lost, and it is this run's own.
            there = storage.version_of(self.url)
            if there is None or there.note != note:
                raise ObjectChangedError("it was changed by somebody else since") from error
            version = there
        is_first = self._version is None
        self._note_version(version.tag)
        if is_first:
            self._send_settings()

    def _send_settings(self) -> None:
        there = storage.version_of(self._settings_url)
        storage.upload(settings_path(self.path), self._settings_url, there.tag if there else None)

    def _send_backups(self) -> None:
        """What opening the working copy has put aside is put aside in the bucket."""
        for backup in sorted(self._folder.glob(f"{self.path.name}.bak*")):
            names = (f"{self.url}.bak{number or ''}" for number in (0, *range(2, 10_000)))
            name = next(name for name in names if storage.version_of(name) is None)
            storage.upload(backup, name, None)
            logging.info("%s is kept as %s.", self.url, name)
            backup.unlink()

    def _warn(self, error: Exception) -> None:
        logging.warning(
            "%s cannot be written now (%s); it is tried again.", self.url, _reason(error)
        )

    def _cannot_send(self, error: Exception) -> OutputError:
        mend = (
            "give another file to --predictions_json"
            if isinstance(error, ObjectChangedError)
            else "mend that and give the same command again"
        )
        kept = f": what this machine has of it is kept in {self.path}" if self.tally.images else ""
        return OutputError(f"{self.url} cannot be written ({_reason(error)}); {mend}{kept}.")

    def _clear(self) -> None:
        """Removes the working copy, all of which is in the bucket."""
        for path in (self.path, settings_path(self.path), self._state_path):
            path.unlink(missing_ok=True)

    @property
    def _settings_url(self) -> str:
        return f"{self.url}{RUN_ENDING}"

    def _beside(self, ending: str) -> Path:
        return self.path.with_name(f"{self.path.name}{ending}")

    def _note_version(self, tag: str | None) -> None:
        """Notes, in this object and on the disk, which version of the object the copy goes on from."""
        self._version = tag
        part = self._state_path.with_name("version.part")
        part.write_text(json.dumps({"url": self.url, "version": tag}), encoding="utf-8")
        part.replace(self._state_path)

    def _noted_version(self) -> tuple[str, str | None] | None:
        try:
            state = json.loads(self._state_path.read_text(encoding="utf-8"))
            return state["url"], state["version"]
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _reason(error: Exception) -> str:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return reason.rstrip(".")
