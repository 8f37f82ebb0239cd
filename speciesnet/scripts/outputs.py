"""Outputs of a command in a bucket: made on this machine, and uploaded when complete."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from absl import logging

from speciesnet.errors import InputError, OutputError, file_errors
from speciesnet.files import storage
from speciesnet.files.input_notes import counted, plural

_OTHER_TARGET = "Fix the cause or pass a different target."
UPLOADS = 16  # in parallel: each mostly waits for the network


@contextmanager
def sent_file(target: str) -> Iterator[str]:
    """Where to write a file: the target, or a temporary file that is uploaded at the end.

    Args:
        target: Path or URL of the file.

    Raises:
        OutputError: The target cannot be a file, or the upload failed; an earlier file is unchanged.
        CredentialsError: The credentials for the bucket have expired or are refused.
    """
    if not storage.goes_to_bucket(target):
        yield target
        return
    if target.endswith("/") or "/" not in target.partition("://")[2]:
        raise OutputError(f"{target} is a folder; pass the name of a file in it.")
    _check_bucket(target, target)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        made = Path(folder) / f"made{PurePosixPath(target).suffix}"
        with storage.displayed_as(target, made):
            yield str(made)
        fix = f"{target} is unchanged. Fix the cause and run the same command again."
        with file_errors(OutputError, target, "written", fix):
            storage.replace(made, target)


@contextmanager
def sent_folder(
    target: str, *, last: str, mark: str | None = None, unchanging: str | None = None
) -> Iterator[str]:
    """Where to write a folder: the target, or a temporary folder that is uploaded at the end.

    Args:
        target: Path or URL of the folder.
        last: The file that readers open first; it is uploaded after all others.
        mark: The file that marks an earlier output of the same kind; it is uploaded first. The
            temporary folder has a copy; an empty one if the bucket has other files there, but no mark.
        unchanging: A subfolder whose files are named after their contents: files that the bucket
            already has are not uploaded again.

    Raises:
        OutputError: A file cannot be uploaded; each file is complete, either the old or the new one.
        CredentialsError: The credentials for the bucket have expired or are refused.
    """
    if not storage.goes_to_bucket(target):
        yield target
        return
    url = target.rstrip("/")
    _check_bucket(f"{url}/{mark or last}", target)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        with file_errors(OutputError, target, fix=_OTHER_TARGET):
            if mark is not None and next(storage.list_folder(url), None) is not None:
                try:
                    storage.fetch(f"{url}/{mark}", folder / mark)
                except FileNotFoundError:
                    (folder / mark).touch()
            start = len(f"{url}/")
            existing = storage.list_folder(f"{url}/{unchanging}") if unchanging else ()
            known = {file[start:] for file in existing}
        with storage.displayed_as(url, folder):
            yield str(folder)
        names = {
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        }
        first = [mark] if mark is not None else []
        others = sorted(names - known - {last, *first})
        _upload(folder, url, [first, others, [last]])


def must_be_local(flag: str, path: str | None, fix: str) -> None:
    """Raises ``InputError`` for a URL as the value of a flag that requires a path on this computer.

    Args:
        flag: The flag, with dashes.
        path: Its value.
        fix: What to do instead, as part of a sentence.
    """
    if path is not None and "://" in path:
        raise InputError(f"{flag} {path} is not on this computer; {fix}.")


def check_local_folder(out: str | None) -> None:
    """Raises ``InputError`` unless ``--out`` is None, a folder on this computer, or a new path."""
    must_be_local("--out", out, "pass a folder on a disk, and upload it afterward")
    if out is not None and Path(out).exists() and not Path(out).is_dir():
        raise InputError(f"--out {out} is not a folder; use a different name.")


def _check_bucket(url: str, target: str) -> None:
    """Raises a bucket's errors before the work starts."""
    with file_errors(OutputError, target, fix=_OTHER_TARGET):
        if storage.version_of(url) is None:
            # Only reading distinguishes a missing bucket from a missing file.
            with suppress(FileNotFoundError), storage.local_file(url):
                pass


def _upload(folder: Path, url: str, groups: Sequence[Sequence[str]]) -> None:
    """Uploads files, each group after the previous one; raises ``OutputError``."""
    count, total = 0, sum(map(len, groups))
    logging.info("Uploading %s to %s.", counted(total, "file"), url)
    with ThreadPoolExecutor(UPLOADS, thread_name_prefix="uploads") as executor:
        try:
            for names in groups:
                uploads = [
                    executor.submit(storage.replace, folder / name, f"{url}/{name}")
                    for name in names
                ]
                for one in as_completed(uploads):
                    one.result()
                    count += 1
        except OSError as error:
            raise OutputError(
                f"{url} cannot be written ({error.strerror or error}); {count} of "
                f"{counted(total, 'file')} {plural(count, 'is', 'are')} new, "
                "and all are complete. Fix the cause and run the same command again."
            ) from error
        finally:
            executor.shutdown(cancel_futures=True)
