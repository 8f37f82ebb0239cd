from __future__ import annotations

from pathlib import Path

import pytest
from clips import film
from windows import Page, wait_for


def test_folders_are_reached_step_by_step(page: Page, home: Path) -> None:
    for made_by_systems in ("System Volume Information", "$RECYCLE.BIN"):
        (home / made_by_systems).mkdir()
    places = page.get("/api/folders")
    assert places["folders"][0] == {"path": str(home), "name": "home", "kind": "home"}
    inside = page.get("/api/folders", path=str(home))
    assert [one["name"] for one in inside["folders"]] == ["card1", "card2"]
    deeper = page.get("/api/folders", path=inside["folders"][0]["path"])
    assert (deeper["parent"], deeper["files"]) == (str(home), [])


def test_files_are_listed_by_their_endings(page: Page, home: Path) -> None:
    (home / "species.txt").write_text("Vulpes vulpes\n")
    files = page.get("/api/folders", path=str(home), files=".txt,.csv")["files"]
    assert files == [{"path": str(home / "species.txt"), "name": "species.txt", "bytes": 14}]


@pytest.mark.parametrize("end", ["/..", "/card1/../..", "/card1/..", "/.secret", "/link", ""])
def test_only_what_was_listed_can_be_named(page: Page, home: Path, end: str) -> None:
    (home / ".secret").mkdir()
    (home / "link").symlink_to(home.parent, target_is_directory=True)
    page.get("/api/folders", path=str(home))
    path = f"{home}{end}" if end else str(home.parent)
    for address in ("/api/folders", "/api/count"):
        assert page.get(address, 403, path=path)["code"] == "folder_not_listed"
    answer = page.send("POST", "/api/surveys", 403, folders=[path])
    assert answer["action"] == {"name": "choose_folder"}


def test_photographs_and_films_are_counted(page: Page, home: Path) -> None:
    film(home / "card1" / "a.mp4")
    (home / "card1" / "notes.txt").write_text("no image")
    counts: dict[str, object] = {}

    def is_done() -> object:
        counts.update(page.get("/api/count", path=[str(home / "card1"), str(home / "card2")]))
        return counts["done"]

    wait_for(is_done, True)
    assert (counts["photographs"], counts["films"], counts["error"]) == (6, 1, None)
    files = [path for path in home.rglob("card*/*") if path.suffix != ".txt"]
    assert counts["bytes"] == sum(path.stat().st_size for path in files)


def test_a_folder_that_is_gone_is_said(page: Page, home: Path) -> None:
    (home / "card1").rename(home / "elsewhere")
    answer = page.get("/api/folders", 404, path=str(home / "card1"))
    assert (answer["code"], answer["action"]) == ("folder_gone", {"name": "choose_folder"})
