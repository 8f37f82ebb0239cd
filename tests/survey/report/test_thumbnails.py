from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from photographs import photograph
from PIL import ExifTags, Image
from surveys import BLANK, FOX, HUMAN, box, correction, record, survey_of

from speciesnet.errors import ImageError
from speciesnet.files.moved_photographs import Photographs
from speciesnet.survey.report.thumbnails import Thumbnails, people_of, thumbnail
from speciesnet.survey.survey import Picture

WHOLE = ((0.0, 0.0, 1.0, 1.0),)


def picture(tmp_path: Path, *args: object, **values: object) -> Picture:
    corrections = values.pop("corrections", ())
    return survey_of(tmp_path, record(*args, **values), corrections=corrections).pictures[0]  # type: ignore[arg-type]


def noise(path: Path, size: tuple[int, int] = (1600, 1200)) -> Path:
    """A photograph with a lot of detail."""
    random = np.random.default_rng(3)
    cells = random.integers(0, 255, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(cells).resize(size, Image.Resampling.NEAREST).save(path, quality=95)
    return path


def test_thumbnail_is_small_and_upright(tmp_path: Path) -> None:
    path = photograph(tmp_path / "a.jpg", base={ExifTags.Base.Orientation: 6})
    assert thumbnail(path).size == (60, 80)
    noise(tmp_path / "b.jpg")
    assert thumbnail(tmp_path / "b.jpg").size == (480, 360)
    assert thumbnail(tmp_path / "b.jpg", 100).size == (100, 75)


@pytest.mark.parametrize(
    "name",
    [
        "african_elephants_cmyk.jpg", "african_elephants_bw.jpg",
        "african_elephants_truncated_file.jpg", "african_elephants_with_exif_orientation.jpg",
    ],
)  # fmt: skip
def test_real_photographs_of_every_kind(shared: Path, name: str) -> None:
    small = thumbnail(shared / "images" / name)
    assert (small.mode, max(small.size)) == ("RGB", 480)
    assert np.asarray(small).std() > 20


def test_files_that_are_not_images(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("no image")
    (tmp_path / "b.jpg").touch()
    for name in ("a.jpg", "b.jpg", "gone.jpg"):
        with pytest.raises(ImageError):
            thumbnail(tmp_path / name)


def test_areas_to_blur(tmp_path: Path) -> None:
    person, faint = box("human", 0.5, (0.1, 0.2, 0.3, 0.4)), box("human", 0.1, (0.5, 0.5, 0.1, 0.1))
    sure, unsure = (0.1, 0.2, 0.1 + 0.3, 0.2 + 0.4), (0.5, 0.5, 0.6, 0.6)
    assert people_of(picture(tmp_path, "a.jpg", FOX)) == ()
    assert people_of(picture(tmp_path, "a.jpg", FOX, boxes=[person, faint])) == (sure, unsure)
    assert people_of(picture(tmp_path, "a.jpg", HUMAN, boxes=[person])) == (sure,)
    assert people_of(picture(tmp_path, "a.jpg", HUMAN, boxes=[])) == WHOLE
    assert people_of(picture(tmp_path, "a.jpg", HUMAN, boxes=[box(), faint])) == WHOLE
    for label in (HUMAN, BLANK):  # a prediction that a reviewer overruled may still be right
        named = correction("a.jpg", label)
        whole = picture(
            tmp_path, "a.jpg", HUMAN if label == BLANK else FOX, boxes=[], corrections=[named]
        )
        assert people_of(whole) == WHOLE


def detail(image: Image.Image, area: tuple[int, int, int, int]) -> float:
    """How much neighboring pixels differ: the variance of the Laplacian."""
    pixels = np.asarray(image.convert("L").crop(area), dtype=np.float32)
    inner = pixels[1:-1, 1:-1]
    around = pixels[:-2, 1:-1] + pixels[2:, 1:-1] + pixels[1:-1, :-2] + pixels[1:-1, 2:]
    return float((around - 4 * inner).var())


@pytest.mark.parametrize(
    "bbox",
    [(0.25, 0.25, 0.5, 0.5), (0.0, 0.0, 1.0, 1.0), (0.9, 0.9, 0.1, 0.1), (0.5, 0.5, 0.02, 0.3)],
)
@pytest.mark.parametrize("size", [480, 1600])
def test_blurred_person_keeps_no_detail(
    tmp_path: Path, bbox: tuple[float, float, float, float], size: int
) -> None:
    path = noise(tmp_path / "a.jpg")
    xmin, ymin, width, height = bbox
    area = (xmin, ymin, xmin + width, ymin + height)
    sharp, blurred = thumbnail(path, size), thumbnail(path, size, [area])
    w, h = sharp.size
    pixels = (int(area[0] * w), int(area[1] * h), int(area[2] * w), int(area[3] * h))
    assert detail(sharp, pixels) > 100
    assert detail(blurred, pixels) < 0.01 * detail(sharp, pixels)
    if bbox[0] == 0.25:
        outside = (0, 0, w // 8, h)
        assert detail(blurred, outside) == detail(sharp, outside)


def test_boxes_without_extent_or_outside_the_image(tmp_path: Path) -> None:
    path = noise(tmp_path / "a.jpg", (160, 120))
    thumbnail(path, 480, [(0.5, 0.5, 0.5, 0.5), (1.0, 1.0, 1.0, 1.0), (-1.0, 2.0, 3.0, 4.0)])


def test_thumbnail_is_made_once(tmp_path: Path) -> None:
    path = noise(tmp_path / "s" / "a.jpg", (160, 120))
    one = picture(tmp_path, path, boxes=[box("human")])
    thumbnails = Thumbnails(tmp_path / "thumbs", Photographs(), size=80)
    name, aspect = thumbnails.make(one)
    assert aspect == pytest.approx(4 / 3)
    made = tmp_path / "thumbs" / name
    before = made.stat().st_mtime_ns
    assert thumbnails.make(one) == (name, aspect)
    assert made.stat().st_mtime_ns == before
    assert thumbnails.sources == {path.parent.as_posix(): path.parent}
    assert not list((tmp_path / "thumbs").rglob("*.part"))

    blurred, _ = Thumbnails(made.parents[1], Photographs(), size=80, blur_humans=True).make(one)
    assert blurred != name
    noise(path, (120, 160))
    changed, aspect = thumbnails.make(one)
    assert (changed != name, aspect) == (True, pytest.approx(3 / 4))
    made.write_bytes(b"")  # as after a crash of the computer
    thumbnails.keep_only({changed})
    assert [path.name for path in made.parents[1].rglob("*.jpg")] == [Path(changed).name]


def test_one_photograph_in_many_records(tmp_path: Path) -> None:
    path = noise(tmp_path / "a.jpg")
    pictures = survey_of(tmp_path, *(record(path) for _ in range(24))).pictures
    made = Thumbnails(tmp_path / "thumbs", Photographs()).previews(pictures, threads=8)
    assert len(set(made)) == 1
    assert made[0].thumbnail


def test_thumbnails_that_cannot_be_made_have_a_reason(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("no image")
    names = [
        tmp_path / "a.jpg",
        tmp_path / "gone.jpg",
        "x" * 5000,
        "https://nowhere.invalid/a.jpg",
        "\0",
    ]
    pictures = survey_of(tmp_path, *map(record, names)).pictures
    made = Thumbnails(tmp_path / "thumbs", Photographs()).previews(pictures, threads=2)
    assert all(one.problem and not one.thumbnail and one.is_private for one in made)
    absent = "there is no file at the path in the predictions"
    assert [one.problem for one in made[1:]] == [absent] * 4


def test_thumbnails_contain_no_exif(tmp_path: Path) -> None:
    path = photograph(tmp_path / "a.jpg", base={ExifTags.Base.Artist: "Jane"})
    name, _ = Thumbnails(tmp_path / "thumbs", Photographs()).make(picture(tmp_path, path))
    with Image.open(tmp_path / "thumbs" / name) as made:
        assert not made.getexif()
