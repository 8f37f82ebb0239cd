from __future__ import annotations

from pathlib import Path

import pytest

from speciesnet.errors import InputError
from speciesnet.files.csv_rows import Row, read_table


def read(folder: Path, text: str) -> tuple[list[str], list[Row]]:
    path = folder / "rows.csv"
    path.write_bytes(text.encode("utf-8"))
    columns, rows = read_table(str(path), "clock corrections", ["folder", "cameraTime"])
    return columns, [(place.replace(str(path), "rows.csv"), cells) for place, cells in rows]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("first", ["", "sep=,\r\n", '"SEP=,"\n'])
def test_delimiter_is_that_of_the_first_line(tmp_path: Path, delimiter: str, first: str) -> None:
    text = f"\ufeff{first}Folder , CAMERATIME,,\r\n\r\n cam1 ,now,,\r\n".replace(",", delimiter)
    columns, rows = read(tmp_path, text)
    assert columns == ["folder", "cameraTime"]
    line = 4 if first else 3
    assert rows == [(f"Line {line} of rows.csv", {"folder": "cam1", "cameraTime": "now"})]


def test_row_with_fewer_cells_has_them_in_its_place(tmp_path: Path) -> None:
    _, rows = read(tmp_path, "folder,cameraTime,actualTime\ncam1,now\n")
    assert rows == [("Line 2 of rows.csv (only 2 cells)", {"folder": "cam1", "cameraTime": "now"})]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "d,lat,lon\ncam1,-1,29,36,82\n",
            r"Line 2 of .* has 5 cells, .* 3 columns; .* a comma, .*36",
        ),
        ("d,lat,lon\na,1,2\ncam1,-1,29,36\n", "Line 3 of .* has 4 cells"),
        ("d;habitat\ncam1;forest; dense\n", "Line 2 of .* contains a semicolon"),
        ("d,,habitat\ncam1,2,forest\n", "Line 2 of .* has 3 cells, .* names 2 columns"),
        ("d,Folder,folder\n", 'has the column "folder" twice'),
    ],
)
def test_cells_without_a_column_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, text)
    assert (
        read(tmp_path, 'd,habitat\ncam1,"forest, dense",,\n')[1][0][1]["habitat"] == "forest, dense"
    )


def test_file_that_is_missing_or_not_utf_8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with pytest.raises(InputError, match=r"The deployments .*rows\.csv cannot be read"):
        read_table(str(path), "deployments", [])
    path.write_bytes(b"deploymentID\ncaf\xe9\n")
    with pytest.raises(InputError, match=r"rows\.csv are not UTF-8 text"):
        read_table(str(path), "deployments", [])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('folder,note\ncam1,"north\ncam2,south\ncam3,west\n', 2),  # to the end of the file
        ('folder,note\ncam1,"north\ncam2,"south"\ncam3,west\n', 2),  # to the next quote
        ('folder,note\ncam1,"north\ncam2,south"\ncam3,west\n', 2),  # to one that fits
        ('folder,note\ncam1,north\ncam2,"south', 3),  # in the last row
        ('"folder,note\ncam1,north\n', 1),
        ('folder,note,x\ncam1,"a\nb","c\ncam2,d,e\n', 3),  # after a cell with a line break
    ],
)
def test_a_quote_that_is_not_closed_hides_no_rows(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(InputError, match=rf"Line {line} of .*rows\.csv opens a quote"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("cell", "read_as"),
    [
        ('"a ""big"" tree"', 'a "big" tree'),
        ('5" pole', '5" pole'),
        ('"two\nlines"', "two\nlines"),
        ('"two\r\nlines, and ""more"""', 'two\nlines, and "more"'),
        ('""', None),
    ],
)
def test_quotes_and_line_breaks_that_belong_to_a_cell_are_kept(
    tmp_path: Path, cell: str, read_as: str | None
) -> None:
    _, rows = read(tmp_path, f"folder,habitat,note\ncam1,wood,{cell}\ncam2,,x\n")
    assert [cells.get("note") for _, cells in rows] == [read_as, "x"]
    assert rows[0][0] == "Line 2 of rows.csv"


@pytest.mark.parametrize(
    "text",
    [
        'sep=;\na;comments;c\n1;"l1\nl2";x\n',
        'locationName,latitude,longitude\n"Site 1\n(north)",1.0,2.0\n',
        'a,b,c\nd1,c1,"Seen:\nfox, badger, and owl"\n',
        'a,b,c\n1,"x\ny" ,3\n',
    ],
)
def test_cells_may_have_several_lines(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(text)
    _, rows = read_table(str(path), "rows", [])
    assert [place for place, _ in rows] == [f"Line {text.startswith('sep') + 2} of {path}"]
