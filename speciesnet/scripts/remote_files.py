"""Outputs in a bucket: they are made on this machine alone, and sent whole.

So nothing half written ever stands in a bucket.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from absl import logging

from speciesnet.errors import InputError, OutputError
from speciesnet.files import storage

SENDERS = 16  # files that are sent at once: each waits for the line more than it uses it


@contextmanager
def sent_file(target: str) -> Iterator[str]:
    """Where to write a file: its place, or one on this machine that is sent into its bucket at the end.

    Raises:
        OutputError: There cannot be such a file, or it cannot be sent; what was there is still there.
        CredentialsError: Those for its bucket have expired or are refused.
    """
    if not storage.goes_to_bucket(target):
        yield target
        return
    if target.endswith("/") or "/" not in target.partition("://")[2]:
        raise OutputError(f"{target} is a folder; give the name of a file in it.")
    _check_bucket(target, target)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        made = Path(folder) / f"made{PurePosixPath(target).suffix}"
        with storage.displayed_as(target, made):
            yield str(made)
        try:
            storage.replace(made, target)
        except OSError as error:
            raise OutputError(
                f"{target} cannot be written ({error.strerror or error}), and is as it was; mend that "
                "and give the same command again."
            ) from error


@contextmanager
def sent_folder(
    target: str, *, last: str, mark: str | None = None, unchanging: str | None = None
) -> Iterator[str]:
    """Where to write a folder: its place, or a new one here whose files are sent at the end.

    Args:
        target: A path or URL.
        last: The file by which the folder is read: it is sent after all others.
        mark: The file by which a folder is known as an earlier one. It is there before the folder is
            written, empty where the bucket holds other files in its place; and it is sent first.
        unchanging: The folder in it whose files are named after what they hold: those that the bucket
            has are not sent again.

    Raises:
        OutputError: A file cannot be sent; each one is the old or the new one, and whole.
        CredentialsError: Those for its bucket have expired or are refused.
    """
    if not storage.goes_to_bucket(target):
        yield target
        return
    url = target.rstrip("/")
    _check_bucket(f"{url}/{mark or last}", target)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        with _read_of(target):
            if mark is not None and next(storage.list_folder(url), None) is not None:
                try:
                    storage.fetch(f"{url}/{mark}", folder / mark)
                except FileNotFoundError:
                    (folder / mark).touch()
            start = len(f"{url}/")
            there = storage.list_folder(f"{url}/{unchanging}") if unchanging else ()
            known = {file[start:] for file in there}
        with storage.displayed_as(url, folder):
            yield str(folder)
        names = {
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        }
        first = [mark] if mark is not None else []
        others = sorted(names - known - {last, *first})
        _send_all(folder, url, [first, others, [last]])


def must_be_here(flag: str, path: str | None, mend: str) -> None:
    """Raises ``InputError`` for a URL where only this computer's disks will do.

    Args:
        flag: Its name.
        path: Its value.
        mend: What to do instead, in words.
    """
    if path is not None and "://" in path:
        raise InputError(f"{flag} {path} is not on this computer, where it must be; {mend}.")


@contextmanager
def _read_of(target: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{target} cannot be read ({error.strerror or error}); mend that, or give another place."
        ) from error


def _check_bucket(url: str, target: str) -> None:
    """Shows before the work begins what is wrong with a bucket."""
    with _read_of(target):
        if storage.version_of(url) is None:
            # Only reading tells a bucket that is not there from a file that is not.
            with suppress(FileNotFoundError), storage.local_file(url):
                pass


def _send_all(folder: Path, url: str, groups: Sequence[Sequence[str]]) -> None:
    """Sends files, each group after the one before; raises ``OutputError``."""
    count, total = 0, sum(map(len, groups))
    logging.info("%d files are sent to %s.", total, url)
    with ThreadPoolExecutor(SENDERS, thread_name_prefix="senders") as executor:
        try:
            for names in groups:
                sent = [
                    executor.submit(storage.replace, folder / name, f"{url}/{name}")
                    for name in names
                ]
                for one in as_completed(sent):
                    one.result()
                    count += 1
        except OSError as error:
            raise OutputError(
                f"{url} cannot be written ({error.strerror or error}), {count} of {total} files are new "
                "there and all are whole; mend that and give the same command again."
            ) from error
        finally:
            executor.shutdown(cancel_futures=True)
