"""How the command handles mistakes, damaged and hostile files."""

from __future__ import annotations

import base64
import ctypes
import json
import marshal
import os
import pickle
import re
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import run_here
from disks import fill, small_disk
from frameworks import needs_tensorflow
from PIL import Image

from speciesnet.engines.select import load_detector_engine
from speciesnet.engines.tensorflow import TensorFlowEngine
from speciesnet.ensemble import SpeciesNetEnsemble
from speciesnet.errors import ModelError

Command = Callable[..., Any]
Json = dict[str, Any]

ON_WINDOWS = os.name == "nt"


def check_mistake(outcome: Any, *words: str) -> None:
    """Checks that a command failed with one sentence that contains these words, and nothing else."""
    assert outcome.code == 1, outcome.err
    sentence = outcome.sentence
    assert outcome.err == f"{sentence}\n"
    assert sentence.endswith(".")
    for word in words:
        assert word in sentence
    assert outcome.out == ""


def records_of(path: Path) -> list[Json]:
    return json.loads(path.read_text(encoding="utf-8"))["predictions"]


def write_json(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def picture(seed: int = 0, size: tuple[int, int] = (160, 8)) -> Image.Image:
    """Noise; wide and low, because detectors scale every picture to 1280 pixels."""
    shape = (size[1], size[0], 3)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, shape, dtype=np.uint8))


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out" / "predictions.json"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "images" / "one.jpg"
    path.parent.mkdir()
    picture().save(path)
    return path


@pytest.fixture
def try_(command: Command, small_package: Path, image: Path, output: Path) -> Callable[..., Any]:
    """Runs the detector alone on one image; arguments come last, and so win.

    With options, such as an environment, the command gets a process of its own.
    """
    output.parent.mkdir()

    def run(*arguments: str | Path, base: bool = True, **options: Any) -> Any:
        usual = ["--detector_only", "--folders", image.parent] if base else []
        given = ("--model", small_package, "--predictions_json", output, *usual, *arguments)
        return command(*given, **options) if options else run_here("run_model", *given)

    return run


# Flags


def test_unknown_flag(try_: Command) -> None:
    check_mistake(
        try_("--folder", "x"), "'folder'", "Did you mean folders or folders_txt? See --help"
    )


def test_argument_that_does_not_belong_to_a_flag(try_: Command, output: Path) -> None:
    check_mistake(try_("--bypass_prompts", "images"), "'images' does not belong to a flag")
    assert not output.exists()


def test_folder_with_spaces_outside_quotes(try_: Command, tmp_path: Path) -> None:
    (tmp_path / "My Photos").mkdir()
    check_mistake(try_("--folders", f"{tmp_path}/My", "Photos"), "put it in quotes")


@pytest.mark.parametrize("ending", [".csv", ".XLSX", ".tsv"])
def test_table_as_output(try_: Command, ending: str) -> None:
    check_mistake(
        try_("--predictions_json", f"x{ending}"), "predictions are JSON", "speciesnet table"
    )


@pytest.mark.parametrize("size", ["0", "eight", ""])
def test_bad_batch_size(try_: Command, size: str) -> None:
    check_mistake(try_(f"--batch_size={size}"), "--batch_size")


@pytest.mark.parametrize("flag", ["run_mode", "log_level"])
def test_value_that_is_not_one_of_the_choices(try_: Command, flag: str) -> None:
    check_mistake(try_(f"--{flag}=fast"), f"--{flag} is 'fast'; it must be one of ")


@pytest.mark.parametrize(
    ("flag", "must_be"),
    [
        ("batch_size=eight", "a whole number"),
        ("batch_size=0", "a positive integer"),
        ("video_fps=fast", "a number"),
        ("video_fps=nan", "a number"),
        ("metadata=maybe", "true or false"),
    ],
)
def test_value_that_a_flag_cannot_have(try_: Command, flag: str, must_be: str) -> None:
    name, value = flag.split("=")
    check_mistake(try_(f"--{flag}"), f"--{name} is '{value}'; it must be {must_be}. See --help.")


def test_no_output(image: Path) -> None:
    check_mistake(run_here("run_model", "--folders", image.parent), "add --predictions_json")


def test_no_input(try_: Command) -> None:
    check_mistake(try_(base=False), "No input is given", "--folders", "--instances_json")


def test_two_inputs(try_: Command, image: Path) -> None:
    check_mistake(try_("--filepaths", image), "More than one input is given", "--filepaths_txt")


@pytest.mark.parametrize("pair", [("detector", "classifier"), ("classifier", "ensemble")])
def test_two_steps_in_one_run(try_: Command, image: Path, pair: tuple[str, str]) -> None:
    flags = [f"--{step}_only" for step in pair]
    check_mistake(try_("--folders", image.parent, *flags, base=False), *flags, "at most one")


@pytest.mark.parametrize("missing", ["detections_json", "classifications_json"])
def test_ensemble_alone_lacks_its_input(try_: Command, image: Path, missing: str) -> None:
    given = {"detections_json": "d.json", "classifications_json": "c.json"}
    del given[missing]
    arguments = ["--ensemble_only", *(f"--{name}={value}" for name, value in given.items())]
    check_mistake(try_("--folders", image.parent, *arguments, base=False), f"add --{missing}")


@pytest.mark.parametrize("name", ["detections_json", "classifications_json"])
def test_results_of_a_step_that_this_run_does_itself(try_: Command, name: str) -> None:
    check_mistake(try_("--nodetector_only", f"--{name}", "x.json"), f"--{name}", "leave it out")


# Images, folders and lists


def test_missing_folder(try_: Command, tmp_path: Path) -> None:
    missing = str(tmp_path / "none")
    check_mistake(try_("--folders", missing), f"The folder {missing} does not exist")


def test_file_for_a_folder(try_: Command, image: Path) -> None:
    check_mistake(try_("--folders", image), str(image), "is a file, not a folder")


def test_folder_without_images(try_: Command, tmp_path: Path, output: Path) -> None:
    folder = tmp_path / "empty" / "deeper"
    folder.mkdir(parents=True)
    (folder / "notes.txt").touch()
    check_mistake(try_("--folders", folder.parent), "no images", str(folder.parent), ".jpg")
    assert not output.exists()


@pytest.mark.parametrize("content", [None, b" \n\n", b"caf\xe9.jpg\n"])
def test_bad_list(try_: Command, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "list.txt"
    if content is not None:
        path.write_bytes(content)
    check_mistake(try_("--filepaths_txt", path, base=False), str(path))


def test_empty_list_of_images(try_: Command) -> None:
    check_mistake(try_("--filepaths=,", base=False), "no images")


def test_many_images_on_the_command_line(try_: Command, image: Path) -> None:
    copies = [image.with_name(f"{number}.jpg") for number in range(1000)]
    for copy in copies:
        copy.hardlink_to(image)
    outcome = try_("--filepaths", ",".join(map(str, copies)), "--model", image.parent, base=False)
    check_mistake(outcome, "info.json")


# Places


@pytest.mark.parametrize(
    ("country", "hint"),
    [("QQQ", ""), ("ken", "KEN"), ("KE", "KEN")],
)
def test_unknown_country(try_: Command, country: str, hint: str) -> None:
    check_mistake(try_("--country", country), f"--country '{country}'", "alpha-3", hint)


@pytest.mark.parametrize(("region", "hint"), [("ZZ", "CA or NY"), ("ca", "CA")])
def test_unknown_state(try_: Command, region: str, hint: str) -> None:
    check_mistake(
        try_("--country", "USA", "--admin1_region", region), f"--admin1_region '{region}'", hint
    )


def test_region_without_country(try_: Command) -> None:
    check_mistake(try_("--admin1_region", "CA"), "--admin1_region CA", "--country USA")


# Instances


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"instances": [', ["not valid JSON"]),
        ('{"images": []}', ['"instances"']),
        ('{"instances": []}', ["no images"]),
        (
            '{"instances": [{"filepath": "a.jpg"}, {"country": "KEN"}]}',
            ["Instance 2", '"filepath"'],
        ),
        ('{"instances": [{"filepath": "a.jpg", "latitude": "abc"}]}', ["a.jpg", "'abc'", "number"]),
        ('{"instances": [{"filepath": "a.jpg", "latitude": 95}]}', ["a.jpg", "95", "-90 and 90"]),
        ('{"instances": [{"filepath": "a.jpg", "country": "kenya"}]}', ["a.jpg", "KEN"]),
        (
            '{"instances": [{"filepath": "a", "country": "USA", "admin1_region": "Ohio"}]}',
            ['"admin1_region"', "OH"],
        ),
    ],
)
def test_bad_instances(
    try_: Command, tmp_path: Path, output: Path, content: str, words: list[str]
) -> None:
    path = tmp_path / "instances.json"
    path.write_text(content, encoding="utf-8")
    check_mistake(try_("--instances_json", path, base=False), *words)
    assert not output.exists()


def test_missing_instances(try_: Command) -> None:
    check_mistake(try_("--instances_json", "none.json", base=False), "none.json", "cannot be read")


# Where to write


def test_output_in_a_missing_folder(try_: Command, tmp_path: Path) -> None:
    path = tmp_path / "none" / "out.json"
    check_mistake(try_("--predictions_json", path), f"Create {path.parent} first")


def test_output_that_is_a_folder(try_: Command, tmp_path: Path) -> None:
    check_mistake(try_("--predictions_json", tmp_path), f"{tmp_path} is a folder")


@pytest.mark.parametrize("flag", ["folders", "model", "detections_json", "predictions_json"])
def test_name_that_is_too_long(try_: Command, flag: str) -> None:
    step = "--classifier_only" if flag == "detections_json" else "--detector_only"
    outcome = try_("--nodetector_only", step, f"--{flag}", "x" * 300)
    check_mistake(outcome, "x" * 300)


def _obey_permissions() -> None:
    """In a child: even for root, whom permissions do not stop unless two capabilities are gone."""
    library = ctypes.CDLL(None)
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        library.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP


@pytest.fixture(scope="session")
def obedient(tmp_path_factory: pytest.TempPathFactory) -> Json:
    """Options for a child process that permissions apply to."""
    if ON_WINDOWS:
        pytest.skip("folders have other permissions there")
    options: Json = {} if os.geteuid() else {"preexec_fn": _obey_permissions}
    secret = tmp_path_factory.mktemp("permissions") / "secret"
    secret.touch(mode=0)
    with suppress(OSError, subprocess.SubprocessError):
        if subprocess.run(
            [sys.executable, "-c", f"open({str(secret)!r})"], stderr=-1, **options
        ).returncode:
            return options
    pytest.skip("permissions do not apply to this user")


def test_output_in_a_folder_without_permission(try_: Command, output: Path, obedient: Json) -> None:
    output.parent.chmod(0o555)
    check_mistake(try_(**obedient), str(output), f"no permission to write to {output.parent}")
    assert not output.exists()


def test_output_file_without_permission(try_: Command, output: Path, obedient: Json) -> None:
    output.write_text('{"predictions": []}', encoding="utf-8")
    output.chmod(0o444)
    check_mistake(try_(**obedient), str(output), "no permission")


def test_output_that_cannot_be_read_back(try_: Command, output: Path, obedient: Json) -> None:
    output.write_text('{"predictions": []}', encoding="utf-8")
    output.chmod(0o200)
    check_mistake(try_(**obedient), str(output))


@pytest.mark.parametrize("name", ["instances", "detections"])
def test_input_file_without_permission(
    try_: Command, tmp_path: Path, image: Path, obedient: Json, name: str
) -> None:
    files = {
        "instances": write_json(tmp_path / "i.json", {"instances": [{"filepath": str(image)}]}),
        "detections": write_json(tmp_path / "d.json", {"predictions": []}),
        "classifications": write_json(tmp_path / "c.json", {"predictions": []}),
    }
    files[name].chmod(0)
    arguments = [f"--{key}_json={path}" for key, path in files.items()]
    outcome = try_("--ensemble_only", *arguments, base=False, **obedient)
    check_mistake(outcome, str(files[name]))


def test_output_over_other_files_is_refused(try_: Command, tmp_path: Path, image: Path) -> None:
    document = {"instances": [{"filepath": str(image)}]}
    instances = write_json(tmp_path / "instances.json", document)
    arguments = ["--detector_only", "--instances_json", instances]
    check_mistake(try_(*arguments, "--predictions_json", instances, base=False), str(instances))
    check_mistake(try_(*arguments, "--predictions_json", image, base=False), str(image))
    assert json.loads(instances.read_text(encoding="utf-8")) == document
    assert Image.open(image).size == (160, 8)


def test_output_over_its_own_input_is_refused(try_: Command, tmp_path: Path, image: Path) -> None:
    detections, classifications = results(tmp_path, [str(image)])
    before = detections.read_bytes()
    arguments = ["--detections_json", detections, "--classifications_json", classifications]
    outcome = try_(
        "--ensemble_only",
        "--filepaths",
        image,
        *arguments,
        "--predictions_json",
        detections,
        base=False,
    )
    check_mistake(outcome, f"{detections} belongs to another run")
    assert detections.read_bytes() == before


def results(folder: Path, names: list[str], padding: int = 0) -> tuple[Path, Path]:
    """Files as a detector and a classifier leave them."""
    label = f"990ae9dd-7a59-4344-afcb-1b7b21368000;{'x' * padding};;;;;animal"
    detections = [{"filepath": name, "detections": []} for name in names]
    classifications = [
        {"filepath": name, "classifications": {"classes": [label], "scores": [0.9]}}
        for name in names
    ]
    return (
        write_json(folder / "detections.json", {"predictions": detections}),
        write_json(folder / "classifications.json", {"predictions": classifications}),
    )


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as disk:
        yield disk


def test_run_continues_after_the_disk_was_full(
    try_: Command, tmp_path: Path, disk: Path, output: Path
) -> None:
    names = [f"{number:04}.jpg" for number in range(4000)]
    detections, classifications = results(tmp_path, names, padding=500)
    filepaths = tmp_path / "images.txt"
    filepaths.write_text("\n".join(names), encoding="utf-8")
    arguments = [
        *("--ensemble_only", "--filepaths_txt", filepaths, "--progress_bars=false"),
        *("--detections_json", detections, "--classifications_json", classifications),
    ]
    assert try_(*arguments, base=False).code == 0
    assert output.stat().st_size > 2.5 * 2**20

    path = disk / "predictions.json"
    outcome = try_(*arguments, "--predictions_json", path, base=False)
    check_mistake(outcome, str(path), "No space left on device", "same command again")
    written = records_of(path)
    assert 0 < len(written) < len(names)
    assert written == records_of(output)[: len(written)]

    fill(disk)
    outcome = try_(*arguments, "--predictions_json", path, base=False)
    check_mistake(outcome, str(path), "No space left on device")
    assert records_of(path) == written

    subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
    outcome = try_(*arguments, "--predictions_json", path, base=False)
    assert outcome.code == 0, outcome.err
    assert path.read_bytes() == output.read_bytes()


def test_disk_that_is_full_from_the_start(try_: Command, disk: Path) -> None:
    filler = fill(disk)
    path = disk / "predictions.json"
    check_mistake(try_("--predictions_json", path), str(path), "No space left on device")
    filler.unlink()
    assert try_("--predictions_json", path).code == 0
    assert len(records_of(path)) == 1


# Prompts


def test_classifier_without_boxes_fails_if_it_cannot_ask(try_: Command) -> None:
    outcome = try_("--nodetector_only", "--classifier_only")
    check_mistake(outcome, "--detections_json", "--bypass_prompts")


def test_bypass_prompts_continues(try_: Command, small_package: Path, tmp_path: Path) -> None:
    package = copied(small_package, tmp_path)
    (package / "classifier.keras").write_bytes(b"")
    arguments = ["--nodetector_only", "--classifier_only", "--bypass_prompts", "--model", package]
    check_mistake(try_(*arguments), "classifier.keras", "download it again")


def on_terminal(answer: str, *arguments: str | Path) -> tuple[int, str]:
    """Exit code and all output of the command on a terminal where someone types."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "speciesnet", *map(str, arguments)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    os.write(ours, answer.encode())
    shown = b""
    with suppress(OSError):  # how Linux says that the other side is closed
        while block := os.read(ours, 4096):
            shown += block
    os.close(ours)
    return process.wait(), shown.decode()


@pytest.mark.parametrize("answer", ["n\n", "\n", "what?\n", "\x04"])
def test_no_at_the_prompt_ends_the_run(
    small_package: Path, image: Path, tmp_path: Path, answer: str
) -> None:
    path = tmp_path / "out.json"
    code, shown = on_terminal(
        answer,
        *("--classifier_only", "--model", small_package, "--filepaths", image),
        *("--predictions_json", path),
    )
    assert code == 1
    assert "[y/N]" in shown and "Nothing was done" in shown and "Traceback" not in shown
    assert not path.exists()


def test_yes_at_the_prompt_continues(small_package: Path, image: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    code, shown = on_terminal(
        "y\n",
        *("--classifier_only", "--model", small_package, "--filepaths", image),
        *("--predictions_json", path),
    )
    assert code == 0, shown
    assert "[y/N]" in shown and "Traceback" not in shown
    [record] = records_of(path)
    assert record["filepath"] == str(image) and len(record["classifications"]["classes"]) == 5


# Unusual and damaged images, all in one run


def _png_of_a_billion_pixels() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        length, check = len(data).to_bytes(4, "big"), zlib.crc32(kind + data).to_bytes(4, "big")
        return length + kind + data + check

    side = (32_000).to_bytes(4, "big")
    header = chunk(b"IHDR", side + side + bytes([1, 0, 0, 0, 0]))
    rows = zlib.compress(bytes(32_000 * 4_001), 9)
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _write_good_images(folder: Path) -> None:
    base = picture()
    base.save(folder / "plain.JPG")
    base.convert("CMYK").save(folder / "cmyk.jpg")
    base.convert("L").save(folder / "grey.Jpeg")
    base.quantize(16).save(folder / "palette.png", transparency=3)
    base.convert("1").save(folder / "one bit.png")
    base.convert("LA").save(folder / "grey with alpha.png")
    base.convert("RGBA").save(folder / "alpha.webp")
    base.convert("YCbCr").save(folder / "ycbcr.tif")
    base.convert("F").save(folder / "float.tiff")
    deep = np.random.default_rng(1).integers(0, 2**16, (8, 160), dtype=np.uint16)
    Image.fromarray(deep).save(folder / "16 bit.png")
    Image.fromarray(deep).save(folder / "16 bit.tif")
    frames = [picture(seed) for seed in (1, 2, 3)]
    base.save(folder / "animated.webp", save_all=True, append_images=frames)
    base.save(folder / "animated.png", save_all=True, append_images=frames)
    base.save(folder / "really a jpeg.png", "JPEG")
    base.save(folder / "really a gif.jpg", "GIF")
    picture(size=(1, 1)).save(folder / "one pixel.png")
    picture(size=(40_000, 2)).save(folder / "panorama.png")
    picture(size=(3, 2000)).save(folder / "pole.png")
    picture(5, (640, 32)).save(folder / "whole.jpg")
    whole = (folder / "whole.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "damaged.jpg").write_bytes(whole[:-500] + bytes(400) + whole[-100:])
    names = ["ñandú š 日本.jpg", "😀.jpg", "comma, comma.jpg", "%20 #1?.jpg", "--folders.jpg"]
    if not ON_WINDOWS:
        names += ['"quoted" it\'s.jpg', "back\\slash.jpg", "line\nbreak.jpg", " space .jpg"]
        names += [os.fsdecode(b"latin \xf1 \xff.jpg")] if sys.platform == "linux" else []
    for name in names:
        base.save(folder / name)


def _write_bad_images(folder: Path) -> None:
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("not an image", encoding="utf-8")
    (folder / "html.png").write_text("<html><body>404</body></html>", encoding="utf-8")
    (folder / "zip.tif").write_bytes(b"PK\x03\x04" + bytes(100))
    picture().save(folder / "header only.jpg")
    whole = (folder / "header only.jpg").read_bytes()
    (folder / "header only.jpg").write_bytes(whole[:30])
    (folder / "bomb.png").write_bytes(_png_of_a_billion_pixels())
    if not ON_WINDOWS:
        (folder / "gone.jpg").symlink_to("nowhere")
        picture().save(folder / "secret.jpg")
        (folder / "secret.jpg").chmod(0)


def test_odd_and_damaged_images(
    command: Command, small_package: Path, tmp_path: Path, obedient: Json
) -> None:
    good, bad = tmp_path / "images" / "good", tmp_path / "images" / "bad"
    good.mkdir(parents=True)
    bad.mkdir()
    _write_good_images(good)
    _write_bad_images(bad)
    (good / "folder.jpg").mkdir()
    path = tmp_path / "out.json"
    outcome = command(
        *("--detector_only", "--model", small_package, "--folders", good.parent),
        *("--predictions_json", path),
        **obedient,
    )
    assert outcome.code == 0, outcome.err
    assert "Traceback" not in outcome.err and "Warning" not in outcome.err
    records = {record["filepath"]: record for record in records_of(path)}
    files = [file for folder in (good, bad) for file in folder.iterdir() if not file.is_dir()]
    assert records.keys() == {file.as_posix() for file in files}
    for file in files:
        record = records[file.as_posix()]
        if file.parent == good:
            assert "failures" not in record and isinstance(record["detections"], list), record
        else:
            assert record == {"filepath": file.as_posix(), "failures": ["DETECTOR"]}
            assert f"Cannot read image {file.as_posix()}: " in outcome.err
    failed = len([file for file in files if file.parent == bad])
    progress = rf"The detector runs on |\d+ of {len(files)} images done, "
    lines = [line for line in outcome.err.splitlines() if not re.match(progress, line)]
    assert len(lines) == failed + 3, lines
    assert sum("images are damaged or not images, such as" in line for line in lines) == 1
    assert "cut off" in lines[-2] and lines[-2] in outcome.out
    assert "2 images have more than 8 bits" in lines[-1] and lines[-1] in outcome.out
    assert f"{len(files)} images, {failed} of them failed" in outcome.out


@pytest.mark.skipif(ON_WINDOWS, reason="there are none in folders there")
def test_named_pipe_does_not_stop_a_run(try_: Command, image: Path, output: Path) -> None:
    os.mkfifo(image.with_name("pipe.jpg"))
    outcome = try_(timeout=60)
    assert outcome.code == 0
    assert "failures" in records_of(output)[1] and "failures" not in records_of(output)[0]


def test_path_given_twice_is_reported_twice(try_: Command, tmp_path: Path, output: Path) -> None:
    detections, classifications = results(tmp_path, ["a.jpg", "b, c.jpg"])
    outcome = try_(
        *("--ensemble_only", "--filepaths", 'a.jpg,"b, c.jpg",a.jpg'),
        *("--detections_json", detections, "--classifications_json", classifications),
        base=False,
    )
    assert outcome.code == 0, outcome.err
    assert [record["filepath"] for record in records_of(output)] == ["a.jpg", "b, c.jpg", "a.jpg"]


# Results of earlier steps


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("detections", None, "There is no file"),
        ("classifications", "not JSON", "is not a predictions file"),
        ("detections", '{"instances": []}', "is not a predictions file"),
        ("detections", '{"predictions": [{"filepath": "other.jpg"}]}', "other.jpg"),
        ("classifications", '{"predictions": [{"detections": []}]}', '"filepath"'),
        ("detections", [3], "a.jpg"),
        ("detections", [[{"conf": 1}]], "a.jpg"),
        ("detections", [["box"]], "a.jpg"),
        ("classifications", [[]], "a.jpg"),
        ("classifications", [["x"]], "a.jpg"),
        ("classifications", [{"classes": ["x"]}], "a.jpg"),
        ("classifications", [{"classes": ["no label"], "scores": [0.7]}], "a.jpg"),
        ("classifications", [{"classes": ["a;b;c;d;e;f;g"], "scores": ["high"]}], "a.jpg"),
    ],
)
def test_bad_results_of_an_earlier_step(
    try_: Command, tmp_path: Path, name: str, content: str | list[Any] | None, words: str
) -> None:
    steps = ("detections", "classifications")
    paths: dict[str, Path] = dict(zip(steps, results(tmp_path, ["a.jpg"]), strict=True))
    if content is None:
        paths[name].unlink()
    elif isinstance(content, str):
        paths[name].write_text(content, encoding="utf-8")
    else:
        write_json(paths[name], {"predictions": [{"filepath": "a.jpg", name: content[0]}]})
    arguments = [f"--{key}_json={path}" for key, path in paths.items()]
    check_mistake(try_("--ensemble_only", "--filepaths", "a.jpg", *arguments, base=False), words)


# Model names


@pytest.mark.parametrize("name", ["MegaDetector", "s3:bucket/model"])
def test_unknown_model(try_: Command, name: str) -> None:
    check_mistake(try_("--model", name), f"There is no model {name!r}", "kaggle:", "demo")


@pytest.mark.parametrize("name", ["kaggle:google", "hf:a/b/c"])
def test_malformed_model_name(try_: Command, name: str) -> None:
    check_mistake(
        try_("--model", name), f"'{name}' is malformed", f"{name.partition(':')[0]}:OWNER"
    )


@pytest.mark.parametrize(
    ("name", "offline"),
    [
        ("hf:owner/repo", True),
        ("hf:owner/repo", False),
        ("kaggle:google/speciesnet/keras/v4.0.0a", False),
    ],
)
def test_model_without_network(try_: Command, tmp_path: Path, name: str, offline: bool) -> None:
    environment = {
        **os.environ,
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9"),
        "HF_HOME": str(tmp_path / "hf"),
        "KAGGLEHUB_CACHE": str(tmp_path / "kaggle"),
    }
    if offline:
        environment["HF_HUB_OFFLINE"] = "1"
    outcome = try_("--model", name, env=environment)
    check_mistake(
        outcome, f"{name} cannot be downloaded", "check the network", "manually from https:"
    )


# Model packages


def copied(package: Path, target: Path) -> Path:
    """A copy that may be damaged."""
    copy = target / "package"
    copy.mkdir()
    for file in package.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


@pytest.fixture
def package(small_package: Path, tmp_path: Path) -> Path:
    return copied(small_package, tmp_path)


def alter_info(package: Path, **changes: Any) -> None:
    info = json.loads((package / "info.json").read_text(encoding="utf-8")) | changes
    write_json(package / "info.json", {key: v for key, v in info.items() if v is not None})


def test_folder_that_is_not_a_package(try_: Command, tmp_path: Path) -> None:
    check_mistake(try_("--model", tmp_path), f"{tmp_path} is not a model package", "info.json")


@pytest.mark.parametrize("content", [b"{", b"[]"])
def test_broken_package_description(try_: Command, package: Path, content: bytes) -> None:
    (package / "info.json").write_bytes(content)
    check_mistake(try_("--model", package), str(package / "info.json"), "get the package again")


@pytest.mark.parametrize("value", [None, 4])
def test_package_description_lacks_a_key(try_: Command, package: Path, value: object) -> None:
    alter_info(package, detector=value)
    check_mistake(try_("--model", package), 'lacks "detector"')


def test_package_of_an_unknown_type(try_: Command, package: Path) -> None:
    alter_info(package, type="crops")
    check_mistake(try_("--model", package), "'crops'", "always_crop or full_image")


def test_package_that_lacks_a_file(try_: Command, package: Path) -> None:
    (package / "labels.txt").unlink()
    check_mistake(try_("--model", package), "lacks labels.txt", "info.json")


def test_package_that_reaches_outside(try_: Command, package: Path) -> None:
    alter_info(package, classifier_labels="../package/labels.txt")
    check_mistake(try_("--model", package), '"classifier_labels"', "inside the folder")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("taxonomy_release.txt", b"a;b;c\n", "has 3 parts instead of 7"),
        ("taxonomy_release.txt", b"", "is empty"),
        ("taxonomy_release.txt", b"\xff\xfe", "cannot be read"),
        ("geofence_release.json", b"not JSON", "cannot be read"),
        ("geofence_release.json", b"\xff", "cannot be read"),
        ("geofence_release.json", b"[]", "must map"),
        ("geofence_release.json", b'{"a;;;;": []}', "a;;;;"),
        ("geofence_release.json", b'{"a;;;;": {"allow": ["KEN"]}}', "a;;;;"),
        ("geofence_release.json", b'{"a;;;;": {"permit": {}}}', "a;;;;"),
    ],
)
def test_malformed_rules(package: Path, name: str, content: bytes, words: str) -> None:
    (package / name).write_bytes(content)
    with pytest.raises(ModelError, match=re.escape(words)) as mistake:
        SpeciesNetEnsemble(str(package))
    assert str(package / name) in str(mistake.value)


@pytest.mark.parametrize(
    ("name", "content"), [("taxonomy_release.txt", b"a;b;c\n"), ("geofence_release.json", b"{")]
)
def test_malformed_rules_of_a_run(
    try_: Command, package: Path, tmp_path: Path, name: str, content: bytes
) -> None:
    (package / name).write_bytes(content)
    detections, classifications = results(tmp_path, ["a.jpg"])
    outcome = try_(
        *("--ensemble_only", "--filepaths", "a.jpg", "--model", package),
        *("--detections_json", detections, "--classifications_json", classifications),
        base=False,
    )
    check_mistake(outcome, str(package / name))


def classify(try_: Command, package: Path, **options: Any) -> Any:
    arguments = ["--nodetector_only", "--classifier_only", "--bypass_prompts", "--model", package]
    return try_(*arguments, **options)


def test_labels_whose_number_differs_from_the_outputs(try_: Command, package: Path) -> None:
    labels = package / "labels.txt"
    labels.write_bytes(labels.read_bytes().split(b"\n", 1)[1])
    check_mistake(classify(try_, package), "2498 outputs", "2497 labels", "labels.txt")


@pytest.mark.parametrize("content", [b"\n\n", b"\xff"])
def test_labels_that_cannot_be_read(try_: Command, package: Path, content: bytes) -> None:
    (package / "labels.txt").write_bytes(content)
    check_mistake(classify(try_, package), str(package / "labels.txt"))


def test_labels_of_another_form(try_: Command, package: Path) -> None:
    text = (package / "labels.txt").read_text(encoding="utf-8")
    (package / "labels.txt").write_text(text.replace(";", ","), encoding="utf-8")
    check_mistake(classify(try_, package), str(package / "labels.txt"))


def test_missing_target_species(try_: Command, package: Path) -> None:
    arguments = ["--target_species_txt", "none.txt", "--bypass_prompts", "--classifier_only"]
    check_mistake(try_(*arguments, "--nodetector_only"), "none.txt")


# Detectors


@pytest.mark.parametrize("damage", ["truncated", "html"])
def test_damaged_detector(try_: Command, package: Path, damage: str) -> None:
    path = package / "detector.pt"
    whole = path.read_bytes()
    path.write_bytes(
        {
            "truncated": whole[: len(whole) // 2],
            "html": b"<html>404</html>",
        }[damage]
    )
    check_mistake(try_("--model", package), str(path), "download it again")


def test_run_continues_once_its_detector_is_fixed(
    try_: Command, package: Path, output: Path
) -> None:
    path = package / "detector.pt"
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    check_mistake(try_("--model", package), str(path))
    path.write_bytes(whole)
    outcome = try_("--model", package)
    assert outcome.code == 0, outcome.err
    assert len(records_of(output)) == 1


class _Trap:
    """Runs a function when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def _checkpoint(path: Path, data: bytes) -> None:
    """As ``torch.save`` lays out a pickle."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")


@pytest.mark.parametrize("kind", ["zip", "bare", "ultralytics"])
def test_detector_that_would_run_code(
    try_: Command, package: Path, tmp_path: Path, kind: str
) -> None:
    marker = tmp_path / "marker"
    trap = _Trap(eval, f"open({str(marker)!r}, 'w')")
    data = pickle.dumps({"model": trap}, protocol=2)
    with pytest.raises(AttributeError):  # the trap works
        pickle.loads(data)["model"].nothing  # noqa: B018
    assert marker.exists()
    marker.unlink()
    if kind == "ultralytics":
        named = b"cultralytics.nn.tasks\nDetectionModel\n0"
        data = data[:2] + named + data[2:]
    path = package / "detector.pt"
    if kind == "bare":
        path.write_bytes(data)
    else:
        _checkpoint(path, data)
    check_mistake(try_("--model", package), str(path))
    assert not marker.exists()


def test_detector_whose_pickle_is_nonsense(tmp_path: Path) -> None:
    path = tmp_path / "detector.pt"
    _checkpoint(path, b"\x80\x02}}K\x01s.")  # a dict as the key of a dict
    with pytest.raises(ModelError, match=r"detector.pt .* download it again"):
        load_detector_engine(path)


# Classifiers


def alter_keras(path: Path, alter: Callable[[Json], object]) -> None:
    """Passes the configuration of a .keras file through a function."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(files["config.json"])
    alter(config)
    files["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def first_convolution(config: Json) -> Json:
    return next(layer for layer in config["config"]["layers"] if layer["class_name"] == "Conv2D")


def code_that_leaves(marker: Path) -> list[Any]:
    """A function as Keras pickles it."""
    code = compile(f"lambda x: (open({str(marker)!r}, 'w'), x)[1]", "trap", "eval").co_consts[0]
    return [base64.b64encode(marshal.dumps(code)).decode(), None, None]


@pytest.mark.parametrize("damage", ["truncated", "random", "no config", "h5"])
def test_damaged_classifier(try_: Command, package: Path, damage: str) -> None:
    path = package / "classifier.keras"
    whole = path.read_bytes()
    path.write_bytes(
        {
            "truncated": whole[: len(whole) // 2],
            "random": np.random.default_rng(0).bytes(10_000),
            "h5": b"\x89HDF\r\n\x1a\n" + bytes(1000),
        }.get(damage, b"")
    )
    if damage == "no config":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("model.weights.h5", b"")
    check_mistake(classify(try_, package), str(path), "download it again")


@needs_tensorflow
def test_classifier_without_its_weights(package: Path) -> None:
    path = package / "classifier.keras"
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", config)
    with pytest.raises(ModelError, match=r"classifier.keras .* download it again"):
        TensorFlowEngine(path)


@pytest.mark.parametrize(
    "change",
    [
        {"module": "os", "class_name": "system"},
        {"module": "keras.layers", "class_name": "Lambda"},
    ],
    ids=lambda change: f"{change['module']}.{change['class_name']}",
)
def test_classifier_that_would_run_code(
    try_: Command, package: Path, tmp_path: Path, change: Mapping[str, str]
) -> None:
    marker = tmp_path / "marker"

    def alter(config: Json) -> None:
        layer = first_convolution(config)
        layer |= change
        layer["config"]["function"] = code_that_leaves(marker)

    path = package / "classifier.keras"
    alter_keras(path, alter)
    check_mistake(classify(try_, package), str(path), change["class_name"], "refused")
    assert not marker.exists()


@pytest.mark.parametrize("name", ["Constant", "TFOpLambda"])
def test_classifier_that_would_import_a_module_of_the_working_folder(
    try_: Command, package: Path, tmp_path: Path, name: str
) -> None:
    marker = tmp_path / "marker"
    (tmp_path / "trap.py").write_text(f"open({str(marker)!r}, 'w')", encoding="utf-8")

    def alter(config: Json) -> None:
        trap = {"module": "trap", "class_name": name, "config": {"function": "math.add"}}
        initial = {
            "module": "keras.initializers",
            "class_name": "Constant",
            "registered_name": None,
        }
        layer = first_convolution(config)
        layer["config"]["kernel_initializer"] = {**initial, "config": {"value": trap}}

    path = package / "classifier.keras"
    alter_keras(path, alter)
    outcome = classify(try_, package, cwd=tmp_path)
    assert not marker.exists()
    check_mistake(outcome, str(path), f"trap.{name}", "refused")


def test_classifier_of_an_older_format_that_would_run_code(
    try_: Command, package: Path, tmp_path: Path
) -> None:
    h5py = pytest.importorskip("h5py")
    marker = tmp_path / "marker"
    layers = [
        {
            "class_name": "InputLayer",
            "config": {"batch_input_shape": [None, 480, 480, 3], "dtype": "float32", "name": "i"},
        },
        {
            "class_name": "Lambda",
            "config": {
                "name": "trap",
                "trainable": True,
                "dtype": "float32",
                "function": code_that_leaves(marker),
                "function_type": "lambda",
                "module": "__main__",
                "output_shape": None,
                "output_shape_type": "raw",
                "output_shape_module": None,
                "arguments": {},
            },
        },
    ]
    path = package / "classifier.h5"
    with h5py.File(path, "w") as file:
        model = {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}
        file.attrs["model_config"] = json.dumps(model)
        file.attrs["keras_version"] = "2.15.0"
        file.attrs["backend"] = "tensorflow"
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [b"trap"]
        weights.create_group("trap").attrs["weight_names"] = []
    with zipfile.ZipFile(path, "a") as archive:  # what is read first
        archive.writestr("config.json", "{}")
    alter_info(package, classifier=path.name)
    outcome = classify(try_, package)
    assert not marker.exists()
    check_mistake(outcome, str(path))


@pytest.mark.parametrize(
    "config",
    [
        {"class_name": []},
        {"class_name": "TFOpLambda", "config": []},
        {"class_name": "TFOpLambda", "module": {}},
        None,
        [],
        "[" * 100_000,
    ],
    ids=["list as name", "list as settings", "object as module", "null", "list", "deep"],
)
def test_classifier_whose_description_is_nonsense(tmp_path: Path, config: object) -> None:
    path = tmp_path / "classifier.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
    with pytest.raises(ModelError, match=r"classifier\.keras"):
        TensorFlowEngine(path)


@pytest.mark.parametrize(("field", "value"), [(6, 99), (8, 1), (10, 77)])
def test_classifier_whose_archive_is_odd(package: Path, field: int, value: int) -> None:
    path = package / "classifier.keras"
    content = bytearray(path.read_bytes())
    directory = content.index(b"PK\x01\x02")
    while directory >= 0:  # of every file: version needed, "encrypted", method of compression
        content[directory + field] = value
        directory = content.find(b"PK\x01\x02", directory + 1)
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"classifier\.keras .* download it again"):
        TensorFlowEngine(path)
