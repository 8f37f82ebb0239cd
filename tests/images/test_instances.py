"""From every kind of input to instances, and what is wrong with some."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import speciesnet
from speciesnet import utils
from speciesnet.errors import InputError
from speciesnet.images.instances import (
    Instance,
    find_images,
    parse_instances,
    prepare_instances,
    prepare_instances_dict,
    split_paths,
    take_shard,
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    path = tmp_path / "work"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def write(name: str, content: Any) -> str:
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    Path(name).write_text(text, encoding="utf-8")
    return name


def paths(instances: list[Instance]) -> list[str]:
    return [instance.filepath for instance in instances]


# Kinds of input.


def test_filepaths_stay_verbatim_in_their_order() -> None:
    given = [
        "b//c/../d.jpg",
        "./a.jpg",
        r"C:\x\y.JPG",
        "b//c/../d.jpg",
        " a .jpg",
        "http://x/1?a,b",
    ]
    assert paths(prepare_instances(filepaths=given)) == given
    expected = {"instances": [{"filepath": path} for path in given]}
    assert prepare_instances_dict(filepaths=given) == expected


def test_inputs_may_be_paths(folder: Path) -> None:
    touch("in/a.jpg")
    document = {"instances": [{"filepath": "in/a.jpg"}]}
    for given in (
        {"instances_json": Path(write("i.json", document))},
        {"filepaths_txt": Path(write("i.txt", "in/a.jpg\n"))},
        {"folders_txt": Path(write("f.txt", "in\n"))},
        {"folders": [Path("in")]},
        {"filepaths": [Path("in/a.jpg")]},
    ):
        assert prepare_instances_dict(**given) == document  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name",
    ["a,b.jpg", "'quoted'.jpg", '"quoted".jpg', "ñandú é š 猫.jpg", "a\tb.jpg", "100%;#&.jpg"],
)
def test_names_of_every_kind(name: str, folder: Path) -> None:
    touch(f"in/{name}")
    assert paths(prepare_instances(folders=["in"])) == [f"in/{name}"]
    assert paths(prepare_instances(filepaths=[name])) == [name]
    assert paths(prepare_instances(filepaths_txt=write("list.txt", f"{name}\n"))) == [name]
    document = {"instances": [{"filepath": name}]}
    assert paths(prepare_instances(instances_json=write("list.json", document))) == [name]
    assert paths(prepare_instances(instances_dict=document)) == [name]


def test_a_list_of_images_has_one_a_line(folder: Path) -> None:
    Path("list.txt").write_bytes("\ufeffb, c.jpg\r\n\r\na b.jpg\nx\u2028y.jpg".encode())
    assert paths(prepare_instances(filepaths_txt="list.txt")) == [
        "b, c.jpg",
        "a b.jpg",
        "x\u2028y.jpg",
    ]


def test_a_list_of_folders_has_one_a_line(folder: Path) -> None:
    touch("b, c/1.jpg", "a/2.jpg", "unlisted/3.jpg")
    found = prepare_instances(folders_txt=write("list.txt", "b, c\na\n"))
    assert paths(found) == ["a/2.jpg", "b, c/1.jpg"]


def test_instances_keep_their_fields(folder: Path) -> None:
    document = {
        "instances": [
            {
                "filepath": "a.jpg",
                "country": "USA",
                "admin1_region": "CA",
                "latitude": 37,
                "longitude": -120.5,
            },
            {"filepath": "b.jpg", "country": "KEN", "admin1_region": None, "other": [1]},
            {"filepath": "a.jpg"},
        ]
    }
    expected = [
        Instance("a.jpg", "USA", "CA", 37, -120.5),
        Instance("b.jpg", "KEN"),
        Instance("a.jpg"),
    ]
    assert prepare_instances(instances_dict=document) == expected
    assert prepare_instances(instances_json=write("i.json", document)) == expected
    assert prepare_instances_dict(instances_dict=document) == {
        "instances": [
            document["instances"][0],
            {"filepath": "b.jpg", "country": "KEN"},
            {"filepath": "a.jpg"},
        ]
    }


def test_an_instances_file_may_start_with_a_byte_order_mark(folder: Path) -> None:
    Path("i.json").write_text('{"instances": [{"filepath": "é.jpg"}]}', encoding="utf-8-sig")
    assert paths(prepare_instances(instances_json="i.json")) == ["é.jpg"]


def test_the_golden_instances_are_read(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shared / "golden")
    assert prepare_instances(instances_json=str(shared / "golden" / "input.json")) == [
        Instance("african_elephants.jpg", "KEN"),
        Instance("bear.jpg", "USA", "CA"),
    ]


def test_other_programs_find_the_function_in_utils() -> None:
    assert utils.prepare_instances_dict is speciesnet.prepare_instances_dict
    assert utils.prepare_instances_dict is prepare_instances_dict


# Folders.


def test_extensions_of_images_in_any_letter_case(folder: Path) -> None:
    images = ["a.jpg", "b.JPG", "c.Jpg", "d.jpeg", "e.PNG", "f.tif", "g.TiFF", "h.WebP", "i.x.jpG"]
    others = ["a.gif", "b.txt", "jpg", ".jpg", "c.jpg.json", "d.jpgx", "e.bmp", "f.jpg~"]
    touch(*(f"in/{name}" for name in images + others))
    assert paths(prepare_instances(folders=["in"])) == [f"in/{name}" for name in images]


def test_folders_are_searched_at_any_depth(folder: Path) -> None:
    touch("in/1.jpg", "in/a/b/c/d/2.jpg", "in/folder.jpg/4.jpg")
    expected = ["in/1.jpg", "in/a/b/c/d/2.jpg", "in/folder.jpg/4.jpg"]
    assert find_images(["in"]) == expected


def test_the_order_goes_by_the_parts_of_a_path(folder: Path) -> None:
    # "-" and " " come before "/", but a folder comes before its longer neighbors.
    touch("in/a-b/1.jpg", "in/a/2.jpg", "in/a b/3.jpg", "in/a/1.jpg", "in/a.jpg", "in/B/1.jpg")
    assert find_images(["in"]) == [
        "in/B/1.jpg",
        "in/a/1.jpg",
        "in/a/2.jpg",
        "in/a b/3.jpg",
        "in/a-b/1.jpg",
        "in/a.jpg",
    ]


def test_the_order_is_that_of_pathlib_over_all_folders(folder: Path) -> None:
    names = ["x/1.jpg", "x y/1.jpg", "é/1.jpg", "Z/1.jpg", "x/10.jpg", "x/2.jpg", "-/1.jpg"]
    touch(*(f"in/{name}" for name in names), "other/1.jpg", "(1)/1.jpg")
    folders = ["other", str(folder / "in"), "(1)", "../work/in", "in"]
    expected = [path for f in folders for path in Path(f).rglob("*.jpg")]
    assert len(expected) == 2 + 3 * len(names)
    assert find_images(folders) == [path.as_posix() for path in sorted(expected)]


def test_overlapping_folders_give_each_image_once(folder: Path) -> None:
    touch("in/a/1.jpg", "in/2.jpg")
    expected = ["in/2.jpg", "in/a/1.jpg"]
    assert find_images(["in/a", "in", "./in", "in/", "in//a", "in"]) == expected


def test_the_folder_one_is_in_has_no_name(folder: Path) -> None:
    touch("b.jpg", "a/1.jpg")
    assert find_images(["."]) == ["a/1.jpg", "b.jpg"]


def test_links_to_images_are_images(folder: Path) -> None:
    touch("elsewhere/1.jpg")
    Path("in").mkdir()
    Path("in/link.jpg").symlink_to(folder / "elsewhere" / "1.jpg")
    assert find_images(["in"]) == ["in/link.jpg"]


# Errors. Each sentence states what is wrong, where, and how to fix it.


def mistake(**given: Any) -> str:
    with pytest.raises(InputError) as error:
        prepare_instances(**given)
    sentence = str(error.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


@pytest.mark.parametrize("given", [{}, {"filepaths": ["a.jpg"], "folders": ["a"]}])
def test_exactly_one_input_must_be_given(given: dict[str, Any]) -> None:
    assert "use exactly one of --folders" in mistake(**given)


@pytest.mark.parametrize("given", [{"filepaths": []}, {"instances_dict": {"instances": []}}])
def test_an_empty_list_is_a_mistake(given: dict[str, Any]) -> None:
    assert "no images" in mistake(**given)


def test_an_empty_list_of_folders_is_a_mistake() -> None:
    assert mistake(folders=[])


def test_a_folder_that_is_missing_is_named(folder: Path) -> None:
    touch("in/1.jpg")
    sentence = mistake(folders=["in", "nowhere, ñ"])
    assert "nowhere, ñ does not exist" in sentence
    assert "pass the folder" in sentence


def test_a_file_given_as_a_folder_is_named(folder: Path) -> None:
    touch("1.jpg")
    sentence = mistake(folders=["1.jpg"])
    assert "1.jpg is a file, not a folder" in sentence
    assert "pass the folder" in sentence


def test_a_folder_with_too_long_a_name_is_a_mistake(folder: Path) -> None:
    assert "pass the folder" in mistake(folders=["a" * 300])


def test_folders_without_images_are_named(folder: Path) -> None:
    touch("one/a.gif", "two/b.txt")
    sentence = mistake(folders=["one", "two"])
    assert "no images in one, two" in sentence
    assert ".jpeg .jpg .png .tif .tiff .webp" in sentence
    touch("two/c.mp4")
    assert "Leave out --videos skip" in mistake(folders=["two"], films=False)
    assert "--videos" not in mistake(folders=["two"]) + mistake(folders=["one"], films=False)


@pytest.mark.parametrize("kind", ["filepaths_txt", "folders_txt", "instances_json"])
def test_a_file_that_is_missing_is_named(kind: str, folder: Path) -> None:
    assert "nowhere.txt cannot be read (No such file" in mistake(**{kind: "nowhere.txt"})


@pytest.mark.parametrize("kind", ["filepaths_txt", "folders_txt", "instances_json"])
def test_a_folder_given_as_a_file_is_named(kind: str, folder: Path) -> None:
    assert ". cannot be read (Is a directory)" in mistake(**{kind: "."})


@pytest.mark.parametrize("kind", ["filepaths_txt", "folders_txt"])
@pytest.mark.parametrize("content", ["", "\n \r\n"])
def test_an_empty_list_is_named(kind: str, content: str, folder: Path) -> None:
    sentence = mistake(**{kind: write("list.txt", content)})
    assert "list.txt is empty" in sentence
    assert "per line" in sentence


@pytest.mark.parametrize("kind", ["filepaths_txt", "folders_txt"])
def test_a_list_of_comments_is_empty(kind: str, folder: Path) -> None:
    assert "list.txt is empty" in mistake(**{kind: write("list.txt", "# none\n#\n")})


def test_header_and_comments_of_a_list_are_logged(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listed = write("list.txt", "# of 2024\nFilepath\n#1.jpg\n# more\nfilepath\n")
    assert paths(prepare_instances(filepaths_txt=listed)) == ["#1.jpg", "filepath"]
    assert "The first line of list.txt, Filepath, is treated as a header." in caplog.text
    assert "2 lines are comments, such as # of 2024." in caplog.text


@pytest.mark.parametrize("kind", ["filepaths_txt", "folders_txt"])
def test_a_list_that_is_not_utf8_is_named(kind: str, folder: Path) -> None:
    Path("list.txt").write_bytes("ñ.jpg".encode("latin-1"))
    assert "list.txt is not UTF-8 text; save it as UTF-8" in mistake(**{kind: "list.txt"})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"instances": [}',
        '{"a": "ñ"}'.encode("latin-1"),
        b"[" * 100_000,
        b'{"instances": [{"filepath": "a.jpg", "country": "KEN", "country": "TZA"}]}',
    ],
)
def test_an_instances_file_that_is_not_json_is_named(content: bytes, folder: Path) -> None:
    Path("i.json").write_bytes(content)
    assert "i.json is not valid JSON" in mistake(instances_json="i.json")


@pytest.mark.parametrize(
    "document",
    [
        "[]",
        "null",
        '"a.jpg"',
        "{}",
        '{"instances": null}',
        '{"instances": {}}',
        '{"predictions": []}',
    ],
)
def test_a_document_without_instances_is_named(document: str, folder: Path) -> None:
    sentence = mistake(instances_json=write("i.json", document))
    assert sentence.startswith('i.json has no "instances" list')
    assert '{"instances": [{"filepath": "image.jpg"' in sentence


@pytest.mark.parametrize("instance", [None, "a.jpg", [], 1])
def test_an_instance_that_is_not_an_object_is_named(instance: Any, folder: Path) -> None:
    document = {"instances": [{"filepath": "a.jpg"}, instance]}
    sentence = mistake(instances_json=write("i.json", document))
    assert sentence.startswith("Instance 2 of i.json is not a JSON object")
    assert "must" in sentence


@pytest.mark.parametrize("instance", [{}, {"filepath": None}, {"filepath": 1}, {"filepath": ""}])
def test_an_instance_without_a_path_is_named(instance: Any, folder: Path) -> None:
    document = {"instances": [{"filepath": "a.jpg"}, instance]}
    sentence = mistake(instances_json=write("i.json", document))
    assert sentence.startswith('Instance 2 of i.json lacks "filepath"')


@pytest.mark.parametrize(
    ("field", "value", "fix"),
    [
        ("country", 1, "must be text"),
        ("country", ["USA"], "must be text"),
        ("country", "US", "did you mean USA"),
        ("country", "Kenya", "did you mean KEN"),
        ("country", "usa", "did you mean USA"),
        ("country", "QQQ", "codes look like USA, KEN or GBR"),
        ("admin1_region", 6, "must be text"),
        ("latitude", "37", "must be a number in degrees"),
        ("latitude", True, "must be a number in degrees"),
        ("latitude", [1], "must be a number in degrees"),
        ("latitude", 90.1, "must be between -90 and 90"),
        ("latitude", -91, "must be between -90 and 90"),
        ("latitude", float("inf"), "must be between -90 and 90"),
        ("latitude", "41.5", "must be a number"),
        ("country", "na", "did you mean NAM"),
        ("longitude", 180.1, "must be between -180 and 180"),
        ("longitude", -181, "must be between -180 and 180"),
        ("longitude", float("inf"), "must be between -180 and 180"),
        pytest.param("longitude", 10**400, "must be between -180 and 180", id="huge"),
        ("longitude", "", "must be a number in degrees"),
    ],
)
def test_a_wrong_field_is_named(field: str, value: Any, fix: str, folder: Path) -> None:
    document = {"instances": [{"filepath": "a.jpg"}, {"filepath": "b.jpg", field: value}]}
    sentence = mistake(instances_json=write("i.json", document))
    assert sentence.startswith("Instance 2 of i.json (b.jpg) has ")
    assert f'"{field}"' in sentence
    assert fix in sentence


@pytest.mark.parametrize(
    ("region", "fix"),
    [("California", "did you mean CA"), ("ca", "did you mean CA"), ("ZZ", "codes look like CA")],
)
def test_a_state_that_there_is_not_is_named(region: str, fix: str) -> None:
    raw = {"filepath": "b.jpg", "country": "USA", "admin1_region": region}
    with pytest.raises(InputError) as error:
        parse_instances({"instances": [raw]}, "i.json")
    assert str(error.value).startswith('Instance 1 of i.json (b.jpg) has a wrong "admin1_region"')
    assert fix in str(error.value)


@pytest.mark.parametrize(("latitude", "longitude"), [(90, 180), (-90, -180), (0, 0), (-0.0, 1e-9)])
def test_the_ends_of_the_earth_are_places(latitude: float, longitude: float) -> None:
    raw = {"filepath": "a.jpg", "latitude": latitude, "longitude": longitude}
    [instance] = parse_instances({"instances": [raw]}, "i.json")
    assert instance.location == {"latitude": latitude, "longitude": longitude}


def test_empty_texts_are_not_places() -> None:
    raw = {"filepath": "a.jpg", "country": "", "admin1_region": ""}
    assert parse_instances({"instances": [raw]}, "i.json") == [Instance("a.jpg")]


# One place for every instance.

PLACES = {
    "instances": [
        {"filepath": "a.jpg", "country": "KEN", "admin1_region": "30"},
        {"filepath": "b.jpg", "latitude": 1.5, "longitude": 2},
        {"filepath": "c.jpg", "country": "USA", "admin1_region": "CA"},
    ]
}


def test_a_country_applies_to_every_instance_and_leaves_their_regions() -> None:
    assert prepare_instances(instances_dict=PLACES, country="CAN") == [
        Instance("a.jpg", "CAN", "30"),
        Instance("b.jpg", "CAN", None, 1.5, 2),
        Instance("c.jpg", "CAN", "CA"),
    ]


def test_a_country_and_a_region_apply_to_every_instance() -> None:
    assert prepare_instances(instances_dict=PLACES, country="USA", admin1_region="PR") == [
        Instance("a.jpg", "USA", "PR"),
        Instance("b.jpg", "USA", "PR", 1.5, 2),
        Instance("c.jpg", "USA", "PR"),
    ]


def test_a_country_applies_to_images_of_folders_too(photographs: Path) -> None:
    found = prepare_instances(folders=[str(photographs)], country="KEN", admin1_region="30")
    assert len(found) == 3
    assert {(i.country, i.admin1_region) for i in found} == {("KEN", "30")}


def test_a_region_without_a_country_is_a_mistake() -> None:
    sentence = mistake(filepaths=["a.jpg"], admin1_region="CA")
    assert sentence.startswith("--admin1_region CA needs a country")
    assert "--country USA" in sentence


@pytest.mark.parametrize(
    ("country", "region", "beginning", "fix"),
    [
        ("US", None, "--country 'US'", "did you mean USA"),
        ("Kenya", None, "--country 'Kenya'", "did you mean KEN"),
        ("QQQ", "CA", "--country 'QQQ'", "codes look like"),
        ("USA", "California", "--admin1_region 'California'", "did you mean CA"),
        ("USA", "ZZ", "--admin1_region 'ZZ'", "codes look like"),
    ],
)
def test_a_place_that_there_is_not_is_named(
    country: str, region: str | None, beginning: str, fix: str
) -> None:
    sentence = mistake(filepaths=["a.jpg"], country=country, admin1_region=region)
    assert sentence.startswith(beginning)
    assert fix in sentence


def test_a_region_of_an_instance_must_be_in_the_country_that_applies() -> None:
    document = {"instances": [{"filepath": "a.jpg", "admin1_region": "ZZ"}]}
    sentence = mistake(instances_dict=document, country="USA")
    assert "a.jpg" in sentence
    assert "'ZZ'" in sentence


# Paths on the command line.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.jpg", ["a.jpg"]),
        ("a.jpg,b.jpg", ["a.jpg", "b.jpg"]),
        ("a.jpg, b.jpg ,", ["a.jpg", "b.jpg"]),
        ('"a,b.jpg",c.jpg', ["a,b.jpg", "c.jpg"]),
        ("a'b.jpg,c.jpg", ["a'b.jpg", "c.jpg"]),
        ("ñ 1.jpg,猫.jpg", ["ñ 1.jpg", "猫.jpg"]),
        ('5" lens.jpg,c.jpg', ['5" lens.jpg', "c.jpg"]),
        ('"open.jpg,c.jpg', ['"open.jpg', "c.jpg"]),
        ("", []),
        (",", []),
    ],
)
def test_paths_are_separated_by_commas(text: str, expected: list[str], folder: Path) -> None:
    assert split_paths(text) == expected


def test_a_path_with_commas_that_exists_is_one_path(folder: Path) -> None:
    touch("a, b.jpg", "c,d/1.jpg")
    assert split_paths("a, b.jpg") == ["a, b.jpg"]
    assert split_paths("c,d") == ["c,d"]


@pytest.mark.parametrize("count", [50, 5000])
def test_many_paths_are_not_a_single_path(count: int, folder: Path) -> None:
    names: list[str] = [f"{number:04}.jpg" for number in range(count)]
    assert split_paths(",".join(names)) == names


# What records say about the place.


@pytest.mark.parametrize(
    ("instance", "location"),
    [
        (Instance("a.jpg"), {}),
        (Instance("a.jpg", "USA", "CA"), {"country": "USA", "admin1_region": "CA"}),
        (Instance("a.jpg", None, None, 0.0, 0.0), {"latitude": 0.0, "longitude": 0.0}),
        (Instance("a.jpg", None, None, 1.0), {}),
        (Instance("a.jpg", None, None, None, 1.0), {}),
    ],
)
def test_a_location_has_what_is_known(instance: Instance, location: dict[str, Any]) -> None:
    assert instance.location == location
    order: Callable[[str], int] = ["country", "admin1_region", "latitude", "longitude"].index
    assert list(instance.location) == sorted(instance.location, key=order)


# Parts of a list.


def test_parts_are_disjoint_and_complete() -> None:
    whole = [Instance(f"/images/{i}.jpg") for i in range(500)]
    parts = [take_shard(whole, f"{number}/7") for number in range(1, 8)]
    assert sorted(path for part in parts for path in paths(part)) == sorted(paths(whole))
    assert min(map(len, parts)) > 40
    assert take_shard(whole, "1/1") == whole


def test_image_stays_in_its_part_when_others_are_added() -> None:
    whole = [Instance(f"/{i}") for i in range(100)]
    assert take_shard(whole[::3], "2/4") == [i for i in whole[::3] if i in take_shard(whole, "2/4")]


def test_image_that_is_given_twice_is_in_one_part() -> None:
    twice = [Instance("/\udcff.jpg"), Instance("/\udcff.jpg", "KEN")]
    assert [part for number in "123" if (part := take_shard(twice, f"{number}/3"))] == [twice]


@pytest.mark.parametrize(
    "shard", ["", "0/3", "4/3", "1/0", "1", "1/", "/1", "-1/3", "1/3/3", "a/b"]
)
def test_invalid_part(shard: str) -> None:
    with pytest.raises(InputError, match=r"--shard is .*I/N"):
        take_shard([Instance("/1")], shard)


@pytest.mark.parametrize("missing", ["NA", "<NA>", "NaN", "nan", float("nan"), None])
def test_missing_values_of_r_and_pandas_are_ignored(missing: object) -> None:
    raw = {"country": missing, "admin1_region": missing, "latitude": missing, "longitude": missing}
    document = json.loads(json.dumps({"instances": [{"filepath": "a.jpg", **raw}]}))
    assert parse_instances(document, "x.json") == [Instance("a.jpg")]


def test_a_missing_value_leaves_the_others() -> None:
    raw = {"filepath": "a.jpg", "country": "NAM", "latitude": float("nan"), "longitude": 17.1}
    [instance] = parse_instances({"instances": [raw]}, "x.json")
    assert (instance.country, instance.latitude, instance.longitude) == ("NAM", None, 17.1)
    assert instance.location == {"country": "NAM"}
