from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from datetime import timezone
from pathlib import Path
from typing import Any, cast

import pytest
from camtrap_packages import assert_valid
from photographs import NAIROBI, photograph
from PIL import ExifTags

from speciesnet.constants import Classification
from speciesnet.errors import InputError
from speciesnet.export.camtrap_dp import Project, Summary, write_camtrap_dp
from speciesnet.export.media_index import MediaIndex
from speciesnet.files.moved_photographs import Photographs
from speciesnet.images.instances import SAMPLE_IMAGES
from speciesnet.records import Record
from speciesnet.survey.clocks import ClockCorrections
from speciesnet.survey.corrections import Correction
from speciesnet.survey.dates import DateRules, NamePattern

DEER = "uuid;mammalia;cetartiodactyla;cervidae;odocoileus;virginianus;white-tailed deer"
BOX = {"category": "1", "label": "animal", "conf": 0.9, "bbox": [0.1, 0.2, 0.3, 0.4]}
PERSON = {"category": "2", "label": "human", "conf": 0.15, "bbox": [0.5, 0.5, 0.2, 0.0]}
PROJECT = Project("Lions of Laikipia", "Jane Doe")


def record(name: str, taken: str | None = "2024-05-01T06:30:00", **values: object) -> Record:
    metadata = {"datetime": taken, "latitude": -1.29, "longitude": 36.82, "model": "HC550"}
    found = {
        "filepath": f"/survey/{name}", "detections": [PERSON, BOX], "prediction": DEER,
        "prediction_score": 0.8, "prediction_source": "classifier", "model_version": "4.0.0a",
        "metadata": metadata, **values,
    }  # fmt: skip
    return cast("Record", found)  # values may be malformed, to test that


def failed(name: str, taken: str, **values: object) -> Record:
    whole = {"failures": ["DETECTOR"], **record(name, taken), **values}
    kept = ("failures", "filepath", "metadata", *values)
    return cast("Record", {key: whole[key] for key in kept})


def predictions(tmp_path: Path, *records: Mapping[str, object]) -> Path:
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps({"predictions": records}), encoding="utf-8")
    return path


def package(
    tmp_path: Path,
    *records: Mapping[str, object],
    timezone_name: str | None = "+03:00",
    **options: Any,
) -> Summary:
    path = predictions(tmp_path, *records)
    return write_camtrap_dp(path, tmp_path / "dp", PROJECT, timezone_name=timezone_name, **options)


def table(tmp_path: Path, name: str) -> list[dict[str, str]]:
    with (tmp_path / "dp" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return [{key: cell for key, cell in row.items() if cell} for row in csv.DictReader(file)]


def observations(tmp_path: Path, level: str = "media") -> list[dict[str, str]]:
    rows = table(tmp_path, "observations")
    return [row for row in rows if row["observationLevel"] == level]


@pytest.fixture
def schemas(shared: Path) -> Path:
    return shared / "schemas" / "camtrap-dp"


def test_package_is_valid(tmp_path: Path, schemas: Path) -> None:
    found = package(
        tmp_path,
        record("cam1/DCIM/100RECNX/a.jpg"),
        record("cam1/DCIM/100RECNX/b.jpg", "2024-05-01T06:30:50"),
        record("cam1/DCIM/101RECNX/a.jpg", "2024-05-01T09:00:00"),
        record("cam2/a.jpg", prediction=Classification.HUMAN.value),
        record("cam2/=1+1, \"é\" 🦌.jpg", prediction=Classification.BLANK.value, detections=[]),
        record("cam2/c.jpg", prediction=Classification.ANIMAL.value, detections=[]),
        record("cam2/d.jpg", prediction=Classification.UNKNOWN.value, latitude=1.0, longitude=2.0),
        failed("cam2/e.jpg", "2024-06-01T00:00:00"),
    )  # fmt: skip
    assert found == Summary(deployments=2, media=8, events=4, left_out=0)
    assert_valid(tmp_path / "dp", schemas)
    assert [row["deploymentID"] for row in table(tmp_path, "deployments")] == ["cam1", "cam2"]
    assert [row["observationType"] for row in observations(tmp_path)] == [
        "animal", "animal", "animal", "human", "blank", "animal", "unknown", "unclassified",
    ]  # fmt: skip


def test_observation_has_the_answer_and_the_best_box_of_its_kind(tmp_path: Path) -> None:
    package(tmp_path, record("cam1/a.jpg"), record("cam1/b.jpg", "2024-05-01T06:30:50"))
    (medium, _), (first, _) = table(tmp_path, "media"), observations(tmp_path)
    assert medium == {
        "mediaID": "a.jpg", "deploymentID": "cam1", "captureMethod": "activityDetection",
        "timestamp": "2024-05-01T06:30:00+03:00", "filePath": "a.jpg", "filePublic": "false",
        "fileName": "a.jpg", "fileMediatype": "image/jpeg",
    }  # fmt: skip
    assert first == {
        "observationID": "a.jpg#1", "deploymentID": "cam1", "mediaID": "a.jpg",
        "eventID": "cam1#1", "eventStart": "2024-05-01T06:30:00+03:00",
        "eventEnd": "2024-05-01T06:30:50+03:00", "observationLevel": "media",
        "observationType": "animal", "scientificName": "Odocoileus virginianus", "count": "1",
        "bboxX": "0.1", "bboxY": "0.2", "bboxWidth": "0.3", "bboxHeight": "0.4",
        "classificationMethod": "machine", "classifiedBy": "SpeciesNet 4.0.0a",
        "classificationProbability": "0.8", "observationComments": "classifier",
    }  # fmt: skip


def test_correction_is_a_human_classification(tmp_path: Path, schemas: Path) -> None:
    at, fox = "2024-05-02T08:00:00+00:00", "uuid;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
    corrections = {
        f"/survey/cam1/{name}": Correction(f"/survey/cam1/{name}", label, DEER, at, reviewer)
        for name, label, reviewer in (
            ("a.jpg", fox, "Jane"), ("b.jpg", Classification.BLANK.value, ""), ("d.jpg", fox, "Jane"),
        )
    }  # fmt: skip
    records = [record(f"cam1/{name}.jpg") for name in "abc"]
    package(
        tmp_path, *records, failed("cam1/d.jpg", "2024-05-01T06:30:00"), corrections=corrections
    )
    assert_valid(tmp_path / "dp", schemas)
    first, second, third, fourth = observations(tmp_path)
    human = {
        "classificationMethod": "human", "classifiedBy": "Jane", "classificationTimestamp": at,
        "observationComments": "review", "scientificName": "Vulpes vulpes", "bboxX": "0.1",
    }  # fmt: skip
    assert first.items() >= human.items()
    assert "classificationProbability" not in first
    assert (second["observationType"], "bboxX" in second) == ("blank", False)
    assert "classifiedBy" not in second
    assert third["classificationMethod"] == "machine"
    assert (fourth["observationType"], fourth["scientificName"]) == ("animal", "Vulpes vulpes")


def test_taxa_are_listed_once(tmp_path: Path) -> None:
    package(tmp_path, record("a.jpg"), record("b.jpg"))
    descriptor = json.loads((tmp_path / "dp" / "datapackage.json").read_text())
    assert descriptor["taxonomic"] == [
        {
            "scientificName": "Odocoileus virginianus", "taxonRank": "species",
            "kingdom": "Animalia", "class": "Mammalia", "order": "Cetartiodactyla",
            "family": "Cervidae", "genus": "Odocoileus",
            "vernacularNames": {"eng": "white-tailed deer"},
        }
    ]  # fmt: skip
    assert descriptor["temporal"] == {"start": "2024-05-01", "end": "2024-05-01"}


def test_deployments_come_from_a_table(tmp_path: Path, schemas: Path) -> None:
    deployments = tmp_path / "deployments.csv"
    deployments.write_text(
        "deploymentID;folder;latitude;longitude;deploymentStart;deploymentEnd;habitat\n"
        'D1;north/cam1;-1.5;36;2024-04-30T08:00:00;2024-05-09T08:00:00+02:00;"forest;\nwet"\n'
        "D2;cam1;-2.5;37;;;\n"
        "D3;cam9;-3.5;37;2024-04-30T08:00:00;2024-05-09T08:00:00;\n",
        encoding="utf-8-sig",
    )
    records = [record("north/cam1/a.jpg"), record("south/cam1/DCIM/a.jpg", "2024-05-02T06:30:00")]
    package(tmp_path, *records, deployments_csv=str(deployments))
    assert_valid(tmp_path / "dp", schemas)
    first, second, third = table(tmp_path, "deployments")
    assert first == {
        "deploymentID": "D1", "latitude": "-1.5", "longitude": "36", "cameraModel": "HC550",
        "deploymentStart": "2024-04-30T08:00:00+03:00", "habitat": "forest;\nwet",
        "deploymentEnd": "2024-05-09T08:00:00+02:00",
    }  # fmt: skip
    assert (second["deploymentID"], second["latitude"]) == ("D2", "-2.5")
    assert second["deploymentStart"] == "2024-05-02T06:30:00+03:00"
    assert third["deploymentID"] == "D3"
    assert [row["deploymentID"] for row in table(tmp_path, "media")] == ["D1", "D2"]


def test_time_zones_follow_the_season(tmp_path: Path) -> None:
    summer, winter = record("a.jpg"), record("b.jpg", "2024-12-01T06:30:00")
    package(tmp_path, summer, winter, timezone_name="America/New_York")
    assert [row["timestamp"] for row in table(tmp_path, "media")] == [
        "2024-05-01T06:30:00-04:00",
        "2024-12-01T06:30:00-05:00",
    ]


def test_time_zone_of_the_camera_is_used(tmp_path: Path) -> None:
    package(tmp_path, record("a.jpg", "2024-05-01T06:30:00-07:00"), timezone_name=None)
    assert table(tmp_path, "media")[0]["timestamp"] == "2024-05-01T06:30:00-07:00"


def test_photographs_are_read_if_records_lack_a_date(tmp_path: Path) -> None:
    taken = {ExifTags.Base.DateTimeOriginal: "2024:05:01 06:30:00"}
    path = photograph(tmp_path / "cam" / "a.jpg", details=taken, gps=NAIROBI)
    bare = record("a.jpg") | {"filepath": path}
    del bare["metadata"]
    package(tmp_path, bare)
    assert table(tmp_path, "deployments")[0]["latitude"] == "-1.29"


def test_photographs_left_out_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = package(
        tmp_path, record("a.jpg"), record("b.jpg", None), record("..c.jpg"), record("a.jpg")
    )
    assert found == Summary(deployments=1, media=1, events=1, left_out=2)
    assert "1 photograph is left out, without a date" in caplog.text
    assert "with names that Camtrap DP does not allow" in caplog.text


TABLE = "deploymentID,latitude,longitude\n"


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"timezone_name": None}, "add --timezone"),
        ({}, {"timezone_name": "Kenya/Nairobi"}, "--timezone Kenya/Nairobi is not a time zone"),
        ({"metadata": {}}, {}, "None of the photographs has a date"),
        ({"metadata": {"datetime": "2024-05-01T06:30:00"}}, {}, "cam has no position"),
        ({"detections": [{"conf": 1}]}, {}, "record of /survey/cam/a.jpg is malformed"),
        ({}, {"table": "name|folder\nx\n"}, 'no "deploymentID" column, only name.folder;'),
        ({}, {"table": TABLE + "cam,-1,29,36,82\n"}, "Line 2 .* has 5 cells"),
        (
            {"metadata": {"datetime": "2024-05-01T06:30:00"}},
            {"table": TABLE + "cam,NA,36\n"},
            "cam in line 2 of .* has no position, .* Write a latitude .* into this row",
        ),
        (
            {"metadata": {"datetime": "2024-05-01T06:30:00"}},
            {"table": TABLE + "cam,1\n"},
            r"cam in line 2 of .* \(only 2 cells\) has no position, .* Write a latitude",
        ),
        ({}, {"table": "deploymentID,colour\nx,red\n"}, 'a column "colour"'),
        ({}, {"table": TABLE + "x,1,2\n"}, "/survey/cam do not belong to any deployment"),
        ({}, {"table": TABLE + "cam,95,2\n"}, "Line 2 .* has '95' as latitude"),
        ({}, {"table": TABLE + "cam,0,-0.0\n"}, "Line 2 .* longitude 0, .* no position"),
        ({}, {"table": "deploymentID,baitUse\ncam,perhaps\n"}, "'perhaps' as baitUse; .* true or"),
        ({}, {"table": "deploymentID,featureType\ncam,lake\n"}, "'lake' as featureType; .* burrow"),
        ({}, {"table": "deploymentID,cameraTilt\ncam,9.5\n"}, "cameraTilt; .* a whole number, betw"),
        ({}, {"table": "deploymentID,cameraHeight\ncam,-1\n"}, "cameraHeight; .* of at least 0"),
        ({}, {"table": "deploymentID,latitude\n,1\n"}, "Line 2 .* has no deploymentID"),
        ({}, {"table": "deploymentID,deploymentStart,deploymentEnd\n"
                       "cam,2024-05-02T00:00:00,2024-05-01T00:00:00\n"}, "cam in line 2 of .* ends at"),
        ({}, {"table": TABLE + "cam,1,2\ncam,1,2\n"}, "Line 3 .* repeats the deploymentID cam"),
        ({}, {"table": TABLE + "cam,1,2\nx,1,2\n"}, "deployment x in line 3 of .* has no photographs;"),
        ({}, {"table": "deploymentID,deploymentStart\ncam,May\n"}, "'May' as deploymentStart"),
    ],
)  # fmt: skip
def test_missing_facts_are_named_and_nothing_is_written(
    tmp_path: Path, change: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    options = dict(options)
    if (text := options.pop("table", None)) is not None:
        (tmp_path / "deployments.csv").write_text(text)
        options["deployments_csv"] = str(tmp_path / "deployments.csv")
    with pytest.raises(InputError, match=message):
        package(tmp_path, record("cam/a.jpg", **change), **options)
    assert not list(tmp_path.glob("dp/*"))


def test_file_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="The predictions contain no records"):
        package(tmp_path)


@pytest.mark.parametrize("name", ["media.csv", "datapackage.json"])
def test_inputs_are_not_overwritten(tmp_path: Path, name: str) -> None:
    source = predictions(tmp_path, record("cam/a.jpg"))
    folder = tmp_path / "dp"
    folder.mkdir()
    before = source.rename(folder / name).read_bytes()
    with pytest.raises(InputError, match=f"{name} would overwrite the predictions"):
        write_camtrap_dp(folder / name, folder, PROJECT, timezone_name="+03:00")
    assert (folder / name).read_bytes() == before
    table = folder / "deployments.csv"
    table.write_text(TABLE + "cam,1,2\n")
    with pytest.raises(InputError, match=r"deployments.csv would overwrite the table of"):
        package(tmp_path, record("cam/a.jpg"), deployments_csv=str(table))
    assert table.read_text() == TABLE + "cam,1,2\n"


def test_names_that_are_invalid_unicode_have_backslashes(tmp_path: Path, schemas: Path) -> None:
    package(tmp_path, record("cam1/a.jpg"), record("cam\udcff/\udce9.jpg"))
    assert_valid(tmp_path / "dp", schemas)
    assert [row["filePath"] for row in table(tmp_path, "media")] == [
        "cam1/a.jpg", "cam\\udcff/\\udce9.jpg",
    ]  # fmt: skip


def test_other_labels_of_people_and_vehicles_have_their_type(tmp_path: Path) -> None:
    package(
        tmp_path,
        record("a.jpg", prediction="u;mammalia;primates;hominidae;homo;;homo species"),
        record("b.jpg", prediction="v;;;;;;Vehicle"),
    )
    assert [row["observationType"] for row in observations(tmp_path)] == [
        "human", "vehicle",
    ]  # fmt: skip


def test_failed_image_is_unclassified_even_with_classes(tmp_path: Path) -> None:
    classes = {"classes": [DEER], "scores": [0.9]}
    package(
        tmp_path, record("x.jpg"), failed("a.jpg", "2024-05-01T06:30:00", classifications=classes)
    )
    assert observations(tmp_path)[1]["observationType"] == "unclassified"


def test_images_on_the_web_leave_other_paths_relative(tmp_path: Path, schemas: Path) -> None:
    web = record("x") | {"filepath": "https://host/cam1/b.jpg"}
    package(tmp_path, record("cam1/a.jpg"), record("cam2/a.jpg"), web)
    assert_valid(tmp_path / "dp", schemas)
    assert [(row["deploymentID"], row["filePath"]) for row in table(tmp_path, "media")] == [
        ("cam1", "cam1/a.jpg"),
        ("cam2", "cam2/a.jpg"),
        ("https://host/cam1", "https://host/cam1/b.jpg"),
    ]


def test_folders_without_a_common_folder_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stray = record("x") | {"filepath": "/other/b.jpg"}
    package(tmp_path, record("cam1/a.jpg"), record("cam2/a.jpg"), stray)
    assert "/survey/cam1 and /other have no folder in common" in caplog.text
    caplog.clear()
    package(tmp_path, record("cam1/a.jpg"), record("cam2/a.jpg"))
    assert not caplog.text


def test_predictions_that_change_while_they_are_read_are_refused() -> None:
    records = [record("cam1/a.jpg"), record("cam1/b.jpg")]
    found = MediaIndex.read(records, Photographs(), timezone.utc)
    found.deploy(None)
    found.find_events(60.0)
    assert found.medium(0, records[0]["filepath"]) is not None
    for position, path in ((0, records[1]["filepath"]), (2, "/survey/cam1/c.jpg")):
        with pytest.raises(InputError, match="changed while being read"):
            found.medium(position, path)


def test_network_drives_have_no_common_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    drives = [record("x") | {"filepath": f"//nas{i}/share/cam1/a.jpg"} for i in (1, 2)]
    package(tmp_path, *drives)
    assert "//nas1/share/cam1 and //nas2/share/cam1 have no folder in common" in caplog.text


def darwin_core(folder: Path) -> list[str]:
    """The scientific names of the occurrences that camtrapdp::write_dwc makes of a package.

    It takes the animals of events, unless ``gbifIngestion`` names a level: then those of media, or, if it
    names "event", of both in the code that introduced it.
    """
    descriptor = json.loads((folder / "datapackage.json").read_text(encoding="utf-8"))
    level = descriptor.get("gbifIngestion", {}).get("observationLevel")
    with (folder / "observations.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    animals = [row for row in rows if row["observationType"] == "animal"]
    wanted = {None: {"event"}, "media": {"media"}}.get(level, {"event", "media"})
    return [row["scientificName"] for row in animals if row["observationLevel"] in wanted]


def test_gbif_gets_one_occurrence_for_each_species_of_an_event(
    tmp_path: Path, schemas: Path
) -> None:
    fox = "uuid;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
    person, other = PERSON | {"conf": 0.9}, BOX | {"bbox": [0.7, 0.7, 0.2, 0.2]}
    package(
        tmp_path,
        record("cam1/a.jpg"),
        record("cam1/b.jpg", "2024-05-01T06:30:50", detections=[BOX, other, person]),
        record("cam1/c.jpg", "2024-05-01T06:31:00", prediction=fox),
        record("cam1/d.jpg", "2024-05-01T09:00:00"),
        record("cam1/e.jpg", "2024-05-01T12:00:00", prediction=Classification.BLANK.value),
    )
    assert_valid(tmp_path / "dp", schemas)
    deer = "Odocoileus virginianus"
    assert darwin_core(tmp_path / "dp") == [deer, "Vulpes vulpes", deer]
    first, second, third, *_ = observations(tmp_path, "event")
    assert first == {
        "observationID": "cam1#1#e1", "deploymentID": "cam1", "eventID": "cam1#1",
        "eventStart": "2024-05-01T06:30:00+03:00", "eventEnd": "2024-05-01T06:31:00+03:00",
        "observationLevel": "event", "observationType": "animal", "scientificName": deer,
        "count": "2", "classificationMethod": "machine", "classifiedBy": "SpeciesNet 4.0.0a",
        "classificationProbability": "0.8",
    }  # fmt: skip
    assert (second["observationType"], second["count"]) == ("human", "1")
    assert third["scientificName"] == "Vulpes vulpes"
    assert {row["eventID"] for row in observations(tmp_path)} == {
        row["eventID"] for row in observations(tmp_path, "event")
    }


def test_subspecies_have_their_rank(tmp_path: Path, schemas: Path) -> None:
    goat = "u;mammalia;cetartiodactyla;bovidae;capra;aegagrus hircus;domestic goat"
    package(tmp_path, record("a.jpg", prediction=goat))
    assert_valid(tmp_path / "dp", schemas)
    descriptor = json.loads((tmp_path / "dp" / "datapackage.json").read_text())
    [taxon] = descriptor["taxonomic"]
    assert taxon["scientificName"] == "Capra aegagrus hircus"
    assert taxon["taxonRank"] == "subspecies"


def test_package_names_its_contributors_and_licences(tmp_path: Path, schemas: Path) -> None:
    path = predictions(tmp_path, record("a.jpg"))
    project = Project(
        "T",
        ("Jane; contact", "Trust; rightsHolder"),
        license_data="CC0-1.0",
        license_media="CC-BY-4.0",
    )
    write_camtrap_dp(path, tmp_path / "dp", project, timezone_name="+03:00")
    assert_valid(tmp_path / "dp", schemas)
    descriptor = json.loads((tmp_path / "dp" / "datapackage.json").read_text())
    assert [one["role"] for one in descriptor["contributors"]] == ["contact", "rightsHolder"]
    assert [one["scope"] for one in descriptor["licenses"]] == ["data", "media"]


def test_photographs_of_one_folder_belong_to_the_period_that_contains_them(
    tmp_path: Path, schemas: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deployments = tmp_path / "deployments.csv"
    deployments.write_text(
        "deploymentID,folder,latitude,longitude,deploymentStart,deploymentEnd\n"
        "V1,cam1,1,2,2024-04-30T00:00:00,2024-05-10T00:00:00\n"
        "V2,cam1,1,2,2024-05-10T00:00:00,2024-06-01T00:00:00\n"
    )
    dates = {"a": "05-01", "b": "05-10", "c": "05-20", "d": "06-02", "e": "04-01"}
    records = [record(f"cam1/{n}.jpg", f"2024-{day}T00:00:00") for n, day in dates.items()]
    found = package(tmp_path, *records, deployments_csv=str(deployments))
    assert_valid(tmp_path / "dp", schemas)
    assert [row["deploymentID"] for row in table(tmp_path, "media")] == [
        "V1", "V2", "V2", "V2", "V1",
    ]  # fmt: skip
    assert found.outside == 2
    assert "2 photographs are outside the period of their deployment: d.jpg (2024-06" in caplog.text


def test_all_deployments_without_a_position_are_named(tmp_path: Path) -> None:
    names = [f"cam{number}/a.jpg" for number in range(1, 6)]
    records = [record(name, **({} if name[3] == "5" else {"latitude": None})) for name in names]
    for one in records[:-1]:
        for side in ("latitude", "longitude"):
            one.pop(side, None)
        one["metadata"] = {"datetime": "2024-05-01T06:30:00"}
    with pytest.raises(
        InputError, match=r"4 of 5 deployments have no position, .*: cam1, cam2, cam3"
    ):
        package(tmp_path, *records)
    with pytest.raises(InputError, match=r"The deployment cam1 has no position, nor has any"):
        package(tmp_path, records[0])


def test_row_that_combines_several_cameras_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deployments = tmp_path / "deployments.csv"
    deployments.write_text(f"{TABLE}survey,-1.29,36.82\n")
    names = ("survey/10012345/DCIM/100RECNX/a.jpg", "survey/10012345/DCIM/101RECNX/b.jpg")
    found = package(tmp_path, *map(record, names), deployments_csv=str(deployments))
    assert found.notes == ()
    names = (*names, "survey/cam2/c.jpg", "survey/d.jpg")
    found = package(tmp_path, *map(record, names), deployments_csv=str(deployments))
    (note,) = found.notes
    assert note.startswith(
        f"1 row of {deployments} combines the photographs of several cameras: survey ("
    )
    assert "/survey/10012345, /survey/survey/cam2, /survey/survey)" in note and note in caplog.text


def test_deployment_without_readable_dates_is_not_one_without_photographs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deployments = tmp_path / "deployments.csv"
    period = "2024-05-01,2024-05-31"
    columns = "deploymentID,latitude,longitude,deploymentStart,deploymentEnd\n"
    deployments.write_text(f"{columns}cam1,-1.29,36.82,,\ncam2,1,2,{period}\ncam3,1,2,{period}\n")
    undated = [record("cam2/DCIM/a.jpg", "1970-01-01T00:00:00"), record("cam2/DCIM/b.jpg", None)]
    records = [record("cam1/a.jpg"), record("other/a.jpg", None), *undated]
    found = package(tmp_path, *records, deployments_csv=str(deployments))
    assert f"1 row of {deployments} matches no folder of photographs: cam3." in caplog.text
    assert any("matches no folder of photographs: cam3." in note for note in found.notes)
    assert (
        f"1 deployment of {deployments} has photographs, but none with a readable date: cam2 "
        "(2 photographs, such as /survey/cam2/DCIM/a.jpg)." in found.notes[-1]
    )
    issues = [row.get("timestampIssues") for row in table(tmp_path, "deployments")]
    assert issues == [None, "true", None]
    deployments.write_text(f"{columns}cam1,-1.29,36.82,,\ncam2,1,2,,\n")
    with pytest.raises(
        InputError, match=r"cam2 in line 3 of .* has 2 photographs, such as .*a\.jpg, but none with"
    ):
        package(tmp_path, *records, deployments_csv=str(deployments))


def test_deployment_far_from_its_photographs_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deployments = tmp_path / "deployments.csv"
    columns = "deploymentID,latitude,longitude,coordinateUncertainty\n"
    records = [record("cam1/a.jpg"), record("cam1/b.jpg"), record("cam2/c.jpg")]
    metadata = records[0].get("metadata", {})
    latitude, longitude = float(metadata["latitude"]), float(metadata["longitude"])
    deployments.write_text(f"{columns}cam1,60,11,\ncam2,{latitude + 0.005},{longitude},\n")
    found = package(tmp_path, *records, deployments_csv=str(deployments))
    (note,) = found.notes
    assert note.startswith(
        "2 photographs of 1 deployment were taken more than 1 km from their deployment: cam1 is at 60, "
        f"11, and 2 photographs are at {latitude:g}, {longitude:g}, "
    )
    assert f"km away. Correct the positions or folders in {deployments}" in note
    assert caplog.text.count(note) == 1
    # Exact positions of rare species are not published.
    deployments.write_text(
        f"{columns}cam1,{latitude + 0.05},{longitude},10000\ncam2,{latitude},{longitude},\n"
    )
    assert package(tmp_path, *records, deployments_csv=str(deployments)).notes == ()
    records[1]["metadata"] = {**metadata, "latitude": latitude + 1.0}
    (note,) = package(tmp_path, *records).notes
    assert note.startswith(
        "1 photograph of 1 deployment was taken more than 1 km from its deployment"
    )
    assert "and 1 photograph is at " in note
    assert note.endswith("or pass the positions with --deployments.")


def test_deployment_with_wrong_dates_has_timestamp_issues(
    tmp_path: Path, schemas: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = package(
        tmp_path,
        record("cam1/IMG_0001.JPG"),
        record("cam1/IMG_0002.JPG", "2024-04-30T06:30:00"),
        record("cam2/IMG_0001.JPG", "2000-01-01T00:00:00"),
        record("cam2/IMG_0002.JPG", "2098-01-01T00:00:00"),
        record("cam2/IMG_0003.JPG"),
        record("cam3/IMG_0001.JPG"),
        record("cam4/IMG_0001.JPG", "2000-01-01T00:00:00"),
    )
    assert_valid(tmp_path / "dp", schemas)
    rows = {row["deploymentID"]: row for row in table(tmp_path, "deployments")}
    assert [name for name, row in rows.items() if "timestampIssues" in row] == [
        "cam1",
        "cam2",
        "cam4",
    ]
    assert found.doubtful == 3
    assert "The clocks of 3 deployments seem to be wrong (cam1, cam2, cam4)" in caplog.text
    (note,) = found.notes
    assert note in caplog.text and "a date before" not in caplog.text
    assert "1 photograph dated before the camera's previous file" in note
    assert "before the camera's previous file, such as cam1/IMG_0002.JPG" in caplog.text


def test_demo_survey_is_valid(tmp_path: Path, schemas: Path) -> None:
    demo = SAMPLE_IMAGES
    records = [
        {"filepath": path.as_posix(), "prediction": DEER, "prediction_score": 0.5}
        for path in sorted(demo.rglob("*.jpg"))
    ]
    deployments = tmp_path / "deployments.csv"
    rows = [f"{folder.name},38.5,-78.4" for folder in sorted(demo.iterdir()) if folder.is_dir()]
    deployments.write_text(TABLE + "\n".join(rows))
    found = package(tmp_path, *records, deployments_csv=str(deployments))
    assert found.media + found.left_out == len(records)
    assert found.media > len(records) / 2
    assert_valid(tmp_path / "dp", schemas)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/survey/cam1/a.PNG", "image/png"),
        ("/survey/cam1/a.tif", "image/tiff"),
        ("/survey/cam1/a.jfif", "image/jpeg"),
        ("https://host/a.png?size=large", "image/png"),
        ("https://host/a.webp#top", "image/webp"),
        ("https://host/a.png?from=b.jpg", "image/png"),
        ("https://host/download?file=a.tiff&size=1", "image/tiff"),
        ("https://host/download?id=7", "image/jpeg"),
        ("s3://bucket/a.jpg?b.png", "image/png"),
    ],
)
def test_media_types_are_those_of_the_files(tmp_path: Path, path: str, kind: str) -> None:
    package(tmp_path, record("x") | {"filepath": path})
    assert [medium["fileMediatype"] for medium in table(tmp_path, "media")] == [kind]


def test_clocks_and_names_give_the_dates(tmp_path: Path) -> None:
    (tmp_path / "clocks.csv").write_text("folder,offset\nD1,1 d\n")
    rules = DateRules(
        NamePattern("%Y%m%d_%H%M%S"), ClockCorrections(str(tmp_path / "clocks.csv"), {"D1": "cam1"})
    )
    records = record("cam1/a.jpg"), record("cam1/20240501_063010.jpg", None), record("cam2/a.jpg")
    package(tmp_path, *records, dates=rules)
    found = {medium["filePath"]: medium["timestamp"] for medium in table(tmp_path, "media")}
    assert found == {
        "cam1/a.jpg": "2024-05-02T06:30:00+03:00",
        "cam1/20240501_063010.jpg": "2024-05-02T06:30:10+03:00",
        "cam2/a.jpg": "2024-05-01T06:30:00+03:00",
    }
