"""Paths, display names and retries; buckets are tested in tests/cloud."""

from __future__ import annotations

from pathlib import Path

import pytest

from speciesnet.errors import BrokenConnectionError, OutputError, RemoteError
from speciesnet.files import storage


def test_outputs_go_to_a_disk_or_a_bucket() -> None:
    assert storage.goes_to_bucket("s3://b/out.json")
    assert not storage.goes_to_bucket("folder/out.json")
    with pytest.raises(
        OutputError, match="--output http://h/x is on the web, where nothing can be"
    ):
        storage.goes_to_bucket("http://h/x", "--output ")
    with pytest.raises(OutputError, match="ftp://h/x must start with s3://, gs:// or az://"):
        storage.goes_to_bucket("ftp://h/x")


def test_messages_name_the_original_of_a_copy(tmp_path: Path) -> None:
    copy = tmp_path / "file"
    with (
        pytest.raises(OutputError, match=r"^s3://b/a\.json is cut off\.$"),
        storage.displayed_as("s3://b/a.json", copy),
    ):
        assert storage.display_name(copy) == "s3://b/a.json"
        raise OutputError(f"{copy} is cut off.")
    assert storage.display_name(copy) == str(copy)


def test_retries_end_with_success_the_last_pause_or_another_error() -> None:
    outcomes: list[Exception | str] = [BrokenConnectionError("busy"), "done"]

    def action() -> str:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    assert storage.retry(action, [0.0]) == "done"
    outcomes[:] = [BrokenConnectionError("busy"), BrokenConnectionError("still busy"), "done"]
    with pytest.raises(BrokenConnectionError, match="still busy"):
        storage.retry(action, [0.0])
    outcomes[:] = [RemoteError("refused"), "done"]
    with pytest.raises(RemoteError, match="refused"):
        storage.retry(action, [0.0])
    outcomes[:] = [BrokenConnectionError("busy"), "done"]
    with pytest.raises(BrokenConnectionError):
        storage.retry(action, storage.pauses_for(0.0, 0.0))
