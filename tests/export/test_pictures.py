from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from PIL import Image
from surveys import BLANK, BOAR, DEER, FOX, HUMAN, answered_box, box, record, write_predictions

from speciesnet.errors import InputError, OutputError
from speciesnet.export import pictures
from speciesnet.export.pictures import Crops, Drawn, PictureResults, write_pictures
from speciesnet.files.moved_photographs import Photographs
from speciesnet.survey.box_corrections import BoxCorrection
from speciesnet.survey.corrections import Correction

LEFT, RIGHT, SIDE = (0.1, 0.25, 0.25, 0.5), (0.5, 0.25, 0.25, 0.5), (0.8, 0.2, 0.2, 0.8)
DEER_FOLDER, FOX_FOLDER = "white-tailed deer (Odocoileus virginianus)", "red fox (Vulpes vulpes)"
PHOTOGRAPHS = ("cam1/a.jpg", "cam2/a.jpg", "c.jpg")


def noise(path: Path, size: tuple[int, int] = (800, 600)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise(size, 90).convert("RGB").save(path, quality=95)
    return path


class Run:
    """Predictions of a deer, a fox and a hiker; two foxes without own answers; a blank."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder / "out"
        walk = [answered_box(DEER, bbox=LEFT, conf=0.95), answered_box(FOX, bbox=RIGHT, conf=0.8),
                answered_box(HUMAN, "human", bbox=SIDE, conf=0.7),
                answered_box(FOX, bbox=(0, 0, 0.1, 0.1), conf=0.15)]  # fmt: skip
        foxes = [box(bbox=LEFT), box(conf=0.6, bbox=RIGHT), box("vehicle", 0.5, SIDE)]
        self.paths = [folder / "s" / name for name in PHOTOGRAPHS]
        records = [record(self.paths[0], DEER, boxes=walk), record(self.paths[1], FOX, boxes=foxes),
                   record(self.paths[2], BLANK)]  # fmt: skip
        self.predictions = write_predictions(folder / "p.json", *records)
        self.corrections: dict[str, Correction] = {}

    def correct(
        self, number: int, *boxes: tuple[Any, str | None], label: str | None = None
    ) -> None:
        path = str(self.paths[number])
        answers = tuple(BoxCorrection(*one) for one in boxes)
        at = "2026-05-01T06:30:00+00:00"
        self.corrections[path] = Correction(path, label, DEER, at, "", answers)

    def crops(self, threads: int = 2, **options: Any) -> PictureResults:
        return self._write(Crops(**options), threads)

    def drawn(self, **options: Any) -> PictureResults:
        return self._write(Drawn(**options))

    def _write(self, kind: Crops | Drawn, threads: int = 2) -> PictureResults:
        given = self.predictions, self.corrections, Photographs(), self.out
        return write_pictures(*given, kind, threads=threads)

    @property
    def files(self) -> set[str]:
        found = {p.relative_to(self.out).as_posix() for p in self.out.rglob("*") if p.is_file()}
        return {name for name in found if not name.endswith(".jsonl")}


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("originals")
    for name in PHOTOGRAPHS:
        noise(folder / name)
    return folder


@pytest.fixture
def run(tmp_path: Path, originals: Path) -> Run:
    shutil.copytree(originals, tmp_path / "s")
    return Run(tmp_path)


def contrast(image: Image.Image) -> int:
    w, h = image.size
    inner = image.convert("L").crop((w // 3, h // 3, 2 * w // 3, 2 * h // 3))
    low, high = cast("tuple[int, int]", inner.getextrema())
    return high - low


CROPS = {
    f"{DEER_FOLDER}/cam1/a.jpg-box1.jpg", f"{FOX_FOLDER}/cam1/a.jpg-box2.jpg",
    f"{FOX_FOLDER}/cam2/a.jpg-box1.jpg", f"{FOX_FOLDER}/cam2/a.jpg-box2.jpg",
    "vehicle/cam2/a.jpg-box3.jpg",
}  # fmt: skip


def test_crops_are_in_folders_by_answer_without_people(run: Run) -> None:
    results = run.crops()
    assert run.files == CROPS
    assert (results.done, results.people, results.missing, results.photographs) == (5, 1, 0, 3)
    with Image.open(run.out / DEER_FOLDER / "cam1" / "a.jpg-box1.jpg") as crop:
        assert crop.size == (200, 300)
        assert not crop.getexif()
    header, *lines = map(json.loads, (run.out / "crops.jsonl").read_text().splitlines())
    assert header["list"] == "crops.jsonl"
    assert {line["file"] for line in lines} == CROPS
    first = next(line for line in lines if line["label"] == DEER)
    assert (first["box"], first["bbox"], first["conf"], first["score"]) == (
        1,
        list(LEFT),
        0.95,
        0.9,
    )
    assert first["filepath"] == str(run.paths[0])


def test_crops_of_people_on_request(run: Run) -> None:
    run.crops(people="include")
    assert run.files == CROPS | {"human (Homo sapiens)/cam1/a.jpg-box3.jpg"}


def test_lower_confidence_gives_more_crops_and_a_higher_one_removes_them(run: Run) -> None:
    run.crops(min_confidence=0.1)
    assert run.files == CROPS | {f"{FOX_FOLDER}/cam1/a.jpg-box4.jpg"}
    results = run.crops(min_confidence=0.85)
    assert run.files == {
        f"{DEER_FOLDER}/cam1/a.jpg-box1.jpg",
        f"{FOX_FOLDER}/cam2/a.jpg-box1.jpg",
    }
    assert (results.done, results.unchanged, results.removed) == (0, 2, 4)


def test_people_are_blurred_in_the_boxes_of_others(run: Run) -> None:
    run.correct(0, (RIGHT, HUMAN), ((0.45, 0.2, 0.35, 0.6), DEER))
    run.crops()
    with Image.open(run.out / DEER_FOLDER / "cam1" / "a.jpg-box5.jpg") as crop:
        assert contrast(crop) < 60
    with Image.open(run.out / DEER_FOLDER / "cam1" / "a.jpg-box1.jpg") as crop:
        assert contrast(crop) > 150


def test_photograph_of_a_person_without_a_sure_box_is_left_out(run: Run) -> None:
    run.correct(1, label=HUMAN)
    assert run.crops().people == 4
    assert {name for name in run.files if "cam2" in name} == set()


def test_corrections_move_crops(run: Run) -> None:
    run.crops()
    kept = run.out / DEER_FOLDER / "cam1" / "a.jpg-box1.jpg"
    before = kept.stat().st_mtime_ns
    run.correct(0, (RIGHT, BOAR))
    results = run.crops()
    assert (results.done, results.unchanged, results.removed) == (1, 4, 1)
    assert "wild boar (Sus scrofa)/cam1/a.jpg-box2.jpg" in run.files
    assert f"{FOX_FOLDER}/cam1/a.jpg-box2.jpg" not in run.files
    assert kept.stat().st_mtime_ns == before


def test_drawn_photographs_have_boxes_and_names(run: Run) -> None:
    results = run.drawn()
    assert run.files == {"cam1/a.jpg", "cam2/a.jpg"}
    assert (results.done, results.without_boxes) == (2, 1)
    lines = list(map(json.loads, (run.out / "drawn.jsonl").read_text().splitlines()))[1:]
    names = {line["file"]: line["names"] for line in lines}
    assert names["cam1/a.jpg"] == ["white-tailed deer 0.90", "red fox 0.90", "human 0.90"]
    assert names["cam2/a.jpg"] == ["animal 0.90", "animal 0.60", "vehicle 0.50"]
    with Image.open(run.out / "cam1/a.jpg") as drawn:
        assert drawn.size == (800, 600)
        red, green, blue = cast("tuple[int, int, int]", drawn.getpixel((180, 449)))
    assert red > 180 > 120 > max(green, blue)


@pytest.mark.parametrize("blur", [False, True])
def test_drawn_people_are_blurred_on_request(run: Run, blur: bool) -> None:
    run.drawn(blur_humans=blur)
    with Image.open(run.out / "cam1/a.jpg") as drawn:
        assert (contrast(drawn.crop((660, 180, 780, 560))) < 60) is blur


def test_drawn_photograph_follows_corrections(run: Run) -> None:
    run.drawn()
    run.correct(0, (LEFT, BOAR), (RIGHT, None))
    results = run.drawn()
    assert (results.done, results.unchanged, results.removed) == (1, 1, 0)
    lines = list(map(json.loads, (run.out / "drawn.jsonl").read_text().splitlines()))[1:]
    assert [one["names"] for one in lines if one["file"] == "cam1/a.jpg"] == [
        ["wild boar", "human 0.90"]
    ]


def test_other_formats_become_jpeg(tmp_path: Path) -> None:
    path = noise(tmp_path / "s" / "a.PNG")
    predictions = write_predictions(tmp_path / "p.json", record(path))
    write_pictures(predictions, {}, Photographs(), tmp_path / "out", Drawn())
    with Image.open(tmp_path / "out" / "a.PNG.jpg") as drawn:
        assert drawn.format == "JPEG"


def test_interrupted_call_continues(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = pictures.thumbnail, []

    def failing(path: Any, *arguments: Any) -> Image.Image:
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(path, *arguments)

    monkeypatch.setattr(pictures, "thumbnail", failing)
    with pytest.raises(KeyboardInterrupt):
        run.crops(threads=1)
    done = len(run.files)
    assert 0 < done < 5
    monkeypatch.setattr(pictures, "thumbnail", real)
    results = run.crops()
    assert (results.done, results.unchanged) == (5 - done, done)
    assert run.files == CROPS


def test_list_that_a_power_failure_cut_off(run: Run) -> None:
    run.crops()
    path = run.out / "crops.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]) + lines[3][:50])
    run.correct(0, (LEFT, DEER))  # another key for a picture, perhaps one without its line
    results = run.crops()
    assert (results.done, results.unchanged, results.skipped) == (1, 4, [])
    assert len(path.read_bytes().splitlines()) == 6


@pytest.mark.parametrize("name", ["notes.txt", "crops.jsonl"])
def test_folder_with_other_files_is_refused(run: Run, name: str) -> None:
    run.out.mkdir()
    (run.out / name).write_text("mine")
    with pytest.raises(OutputError, match="contains other files"):
        run.crops()
    assert (run.out / name).read_text() == "mine"
    assert run.files <= {"notes.txt"}


def test_photographs_are_never_overwritten(run: Run) -> None:
    before = run.paths[0].read_bytes()
    with pytest.raises(OutputError, match="contains other files"):
        write_pictures(run.predictions, {}, Photographs(), run.folder / "s", Drawn())
    assert run.paths[0].read_bytes() == before


def test_file_of_someone_else_in_the_folder_stays(run: Run) -> None:
    run.crops()
    mine = run.out / "wild boar (Sus scrofa)" / "cam1" / "a.jpg-box2.jpg"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    run.correct(0, (RIGHT, BOAR))
    for _ in range(2):
        results = run.crops()
        assert [Path(name).name for name, _ in results.skipped] == ["a.jpg"]
        assert "there is another file at" in results.skipped[0][1]
        assert mine.read_text() == "mine"


def test_missing_and_unreadable_photographs(run: Run) -> None:
    run.crops()
    run.paths[0].rename(run.folder / "away.jpg")
    run.paths[1].write_bytes(b"no image")
    results = run.crops()
    assert (results.missing, len(results.skipped), results.removed) == (1, 1, 0)
    assert run.files == CROPS  # they stay until the photographs are there again
    run.paths[1].unlink()
    with pytest.raises(InputError, match="None of the 2 photographs with boxes"):
        run.crops()


def test_photographs_that_moved(run: Run) -> None:
    run.folder.joinpath("s").rename(run.folder / "moved")
    photographs = Photographs(str(run.folder / "moved"))
    assert write_pictures(run.predictions, {}, photographs, run.out, Crops()).done == 5


def test_names_that_would_leave_the_folder(tmp_path: Path) -> None:
    inside = noise(tmp_path / "s" / "a.jpg")
    answers = ["u;a;b;c;d;e;../../up", "u;a;b;c;d;e;/etc/passwd", "u;a;b;c;d;e;con"]
    records: list[Mapping[str, object]] = [
        record(noise(tmp_path / "s" / f"{i}.jpg"), label) for i, label in enumerate(answers)
    ]
    predictions = write_predictions(tmp_path / "p.json", record(inside), *records)
    out = tmp_path / "x" / "out"
    assert write_pictures(predictions, {}, Photographs(), out, Crops()).done == 4
    assert len(list(out.rglob("*.jpg"))) == 4
    assert {path.name for path in (tmp_path / "x").iterdir()} == {"out"}


def test_edited_list_cannot_remove_files_elsewhere(run: Run) -> None:
    run.crops()
    victim = run.folder / "victim.jpg"
    victim.write_text("mine")
    line = {"file": "../victim.jpg", "filepath": "x", "key": "x"}
    with (run.out / "crops.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n" + json.dumps({**line, "file": str(victim)}) + "\n[]\n")
    run.crops()
    assert victim.read_text() == "mine"


def test_photograph_in_two_records(tmp_path: Path) -> None:
    path = noise(tmp_path / "s" / "a.jpg")
    predictions = write_predictions(tmp_path / "p.json", record(path), record(path))
    results = write_pictures(predictions, {}, Photographs(), tmp_path / "out", Crops(), threads=1)
    assert (results.done, results.unchanged, results.skipped) == (1, 1, [])
