from __future__ import annotations

from pathlib import Path

import pytest

from speciesnet.errors import InputError
from speciesnet.files.csv_rows import read_rows


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_cells_have_no_blanks_and_the_line_of_the_file(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("\ufefffolder,offset\n\n cam1 , +1:00:00\n".replace(",", delimiter), "utf-8")
    rows = list(read_rows(str(path), "clock corrections"))
    assert rows == [(1, ["folder", "offset"]), (2, []), (3, ["cam1", "+1:00:00"])]


def test_file_that_is_missing_or_not_utf_8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with pytest.raises(InputError, match=r"The deployments .*rows\.csv cannot be read"):
        list(read_rows(str(path), "deployments"))
    path.write_bytes(b"deploymentID\ncaf\xe9\n")
    with pytest.raises(InputError, match=r"rows\.csv are not UTF-8 text"):
        list(read_rows(str(path), "deployments"))
