"""What commands share that take a predictions file and its photographs: flags, and how to find it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit, urlunsplit

from absl import flags, logging

from speciesnet.constants import CORRECTIONS_ENDING, RUN_ENDING
from speciesnet.errors import InputError, OutputError
from speciesnet.files import storage
from speciesnet.files.clouds import BrokenConnectionError, RemoteError
from speciesnet.scripts import console
from speciesnet.survey.sequences import DEFAULT_GAP

IMAGE_ROOT = flags.DEFINE_string(
    "image_root",
    None,
    "Folder that the photographs have moved to; their paths are matched from the end.",
)
CORRECTIONS = flags.DEFINE_string(
    "corrections",
    "auto",
    "What people said: path or URL of a file that review wrote; auto takes the one beside the "
    "predictions, none goes without.",
)
SEQUENCE_GAP = flags.DEFINE_float(
    "sequence_gap", DEFAULT_GAP, "Longest pause within a sequence of a camera, in seconds.",
    lower_bound=0, upper_bound=1e9,
)  # fmt: skip


console.must_be_finite("sequence_gap")


@contextmanager
def local_predictions(path: str) -> Iterator[str]:
    """A predictions file on this machine: itself, or a copy with what lies beside it.

    That is what its run noted, and, unless ``--corrections`` says otherwise, what people said.

    Raises:
        InputError: What people said is there, but cannot be read.
        OutputError: The file cannot be read.
        CredentialsError: Those for its bucket have expired or are refused.
    """
    if storage.scheme_of(path) is None:
        yield path
        return
    from speciesnet.export.safe_paths import safe_name

    name = path.rpartition("/")[2] if storage.is_cloud(path) else unquote(urlsplit(path).path)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / safe_name(PurePosixPath(name).name)
        try:
            storage.fetch(path, copy)
        except OSError as error:
            raise OutputError(
                f"The predictions file {path} cannot be read ({error.strerror or error}); mend that, or "
                "give another file."
            ) from error
        for ending in (
            (RUN_ENDING, CORRECTIONS_ENDING) if CORRECTIONS.value == "auto" else (RUN_ENDING,)
        ):
            _fetch_beside(path, ending, copy)
        with storage.displayed_as(path, copy):
            yield str(copy)


def _fetch_beside(path: str, ending: str, copy: Path) -> None:
    url = f"{path}{ending}"
    if not storage.is_cloud(path):  # where an address may go on after the name
        parts = urlsplit(path)
        url = urlunsplit(parts._replace(path=f"{parts.path}{ending}"))
    try:
        storage.fetch(url, copy.with_name(f"{copy.name}{ending}"))
    except FileNotFoundError:
        pass
    except OSError as error:
        # Sites, and buckets that may not be listed, do not tell "forbidden" from "not there".
        is_answer = isinstance(error, RemoteError) and not isinstance(error, BrokenConnectionError)
        if is_answer and (ending == RUN_ENDING or not storage.is_cloud(path)):
            logging.info("%s is passed over (%s).", url, error.strerror)
            return
        without = (
            ", or give --corrections none to go without" if ending == CORRECTIONS_ENDING else ""
        )
        raise InputError(
            f"{url} cannot be read ({error.strerror or error}); mend that{without}."
        ) from error


def warn_of_empty(predictions: str) -> None:
    """Says so where a file ends before its first record: it is valid, or cut off, but holds nothing."""
    from speciesnet.predictions.layout import HEADER

    with Path(predictions).open("rb") as file:
        is_empty = HEADER.startswith(file.read(len(HEADER) + 1))
    if is_empty:
        logging.warning(
            "%s ends before its first record. Run the command that wrote it again to continue it.",
            storage.display_name(predictions),
        )
