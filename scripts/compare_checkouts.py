"""Runs two checkouts on the same inputs and compares everything that they write, byte for byte.

    python scripts/compare_checkouts.py BEFORE AFTER [--shared FOLDER] [--only PATTERN] [--diff]

Both run with this interpreter, in a folder of the same path, each with an empty cache. Files must be
equal except for the values in ``VOLATILE``. The wording of messages, pages and help may change: such
differences are listed, and ``--diff`` prints them. The exit code is 1 if a file, an exit code, a
published name or the structure of a help text differs, and 0 otherwise.
"""

from __future__ import annotations

import argparse
import difflib
import filecmp
import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PLACE = ("--country", "USA", "--admin1_region", "CA")
COMMANDS = (
    "run_model", "run_on_ray", "run_server", "merge", "report", "review", "sort_images",
    "speciesnet_to_camtrap_dp", "speciesnet_to_md", "speciesnet_to_table", "write_keywords",
    "gpu_test",
)  # fmt: skip
SKIPPED_FILES = ("*.lock", "inputs/*", "cache/*")
WORDS = ("*.html", "*/static/*", "*.stdout", "*.stderr")  # files whose words may change
# Values that differ between two runs of one checkout: from the pattern of a file's path to a regular
# expression, whose matches are left out.
VOLATILE = {
    "*/datapackage.json": rb'"(created|id)": ?"[^"]*"',
    "*md.json": rb'"(detection|classification)_completion_time": ?"[^"]*"',
    "*.run.json": rb'"(started|created)": ?"[^"]*"',
    "*.svg": rb"<dc:date>[^<]*</dc:date>|(?<=[#\"])[a-z]{1,2}[0-9a-f]{10}(?=[\")])",
}
PUBLISHED_NAMES = """
import importlib, inspect, json, re, sys
MODULES = ["speciesnet"] + ["speciesnet." + name for name in (
    "classifier constants detector display ensemble ensemble_prediction_combiner geofence_utils "
    "geolocation multiprocessing taxonomy_utils utils").split()]

def signature(value):
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return "attribute"
    # Annotations say the same in other words; names, kinds and defaults are the contract.
    shown = ", ".join(f"{one.kind.name} {one.name}={one.default!r}" for one in parameters)
    return re.sub(" at 0x[0-9a-f]+", "", shown).replace("<class 'inspect._empty'>", "")

found = {}
for name in MODULES:
    module = importlib.import_module(name)
    public = getattr(module, "__all__", None) or [
        key for key, value in vars(module).items()
        if not key.startswith("_") and getattr(value, "__module__", name) == name
        and not inspect.ismodule(value)]
    for key in sorted(public):
        value = getattr(module, key)
        found[f"{name}.{key}"] = signature(value)
        if inspect.isclass(value):
            for member in sorted(dir(value)):
                if not member.startswith("_") and member in vars(value):
                    found[f"{name}.{key}.{member}"] = signature(getattr(value, member))
json.dump(found, sys.stdout, indent=1)
"""
PYTHON_VERBS = """
import json, sys
from speciesnet import SpeciesNet
model = SpeciesNet("demo")
options = {"folders": ["inputs/demo"], "country": "KEN"}
found = model.predict(**options)
detections = model.detect(folders=["inputs/demo"])
classifications = model.classify(folders=["inputs/demo"])
json.dump([found, detections, classifications], sys.stdout, indent=1)
"""


@dataclass(frozen=True)
class Step:
    """One command that both checkouts run.

    Attributes:
        name: What the table shows.
        arguments: The command after ``python``; a module of ``speciesnet.scripts`` comes first, or
            ``-c``.
        code: The exit code that it must have.
        prepare: Called with the working folder before the command.
    """

    name: str
    arguments: tuple[str, ...]
    code: int = 0
    prepare: Callable[[Path], None] = field(default=lambda folder: None)

    @property
    def file_name(self) -> str:
        """The name of the files with its standard output and standard error."""
        return re.sub(r"\W+", "_", self.name)


def demo_steps() -> Iterator[Step]:
    """The demo model: whole runs, single steps, resuming, and every export."""
    run = ("run_model", "--model", "demo", "--noprogress_bars", "--bypass_prompts")
    images = ("--folders", "inputs/demo")
    yield Step(
        "demo: whole run", (*run, *images, *PLACE, "--metadata", "--predictions_json", "all.json")
    )
    yield Step(
        "demo: detector", (*run, *images, "--detector_only", "--predictions_json", "det.json")
    )
    yield Step(
        "demo: classifier",
        (*run, *images, "--classifier_only", "--detections_json", "det.json",
         "--predictions_json", "cls.json"),
    )  # fmt: skip
    yield Step(
        "demo: ensemble",
        (*run, *images, "--ensemble_only", "--detections_json", "det.json",
         "--classifications_json", "cls.json", *PLACE, "--predictions_json", "ens.json"),
    )  # fmt: skip
    yield Step(
        "demo: resume a cut-off file",
        (*run, *images, *PLACE, "--metadata", "--predictions_json", "resumed.json"),
        prepare=_cut_off,
    )
    yield Step(
        "demo: geofence off",
        (*run, *images, "--nogeofence", "--predictions_json", "unfenced.json"),
    )
    for number in (1, 2):
        yield Step(
            f"demo: shard {number}/2",
            (*run, *images, *PLACE, "--shard", f"{number}/2", "--predictions_json",
             f"shard{number}.json"),
        )  # fmt: skip
    yield Step("merge", ("merge", "merged.json", "shard1.json", "shard2.json"))
    yield Step("Python: predict, detect, classify", ("-c", PYTHON_VERBS))
    table = ("speciesnet_to_table", "all.json")
    for rows in ("image", "detection", "sequence"):
        yield Step(f"table: {rows} rows", (*table, f"{rows}.csv", "--rows", rows))
        yield Step(f"table: {rows} rows, Parquet", (*table, f"{rows}.parquet", "--rows", rows))
    yield Step(
        "Camtrap DP",
        ("speciesnet_to_camtrap_dp", "all.json", "camtrap", "--title", "T", "--contributor", "C",
         "--timezone", "Africa/Nairobi", "--deployments", "inputs/deployments.csv"),
    )  # fmt: skip
    yield Step(
        "MegaDetector", ("speciesnet_to_md", "all.json", "md.json", "--base_folder", "inputs/demo")
    )
    yield Step("sort, dry run", ("sort_images", "all.json", "--out", "sorted", "--dry_run"))
    yield Step(
        "sort by category", ("sort_images", "all.json", "--out", "sorted", "--by", "category")
    )
    yield Step("keywords", ("write_keywords", "all.json", "--out", "sidecars"))
    yield Step("report", ("report", "all.json", "--out", "report"))


def package_steps(shared: Path) -> Iterator[Step]:
    """The small packages, and the decisions about the published program's boxes and classes."""

    def link_images(folder: Path) -> None:
        if not (folder / "images").exists():
            (folder / "images").symlink_to(shared / "images")

    for name in ("small_random", "small_random_b", "small_random_pt"):
        package = shared / "packages" / name
        run = ("run_model", "--model", str(package), "--noprogress_bars", "--bypass_prompts")
        output = ("--predictions_json", f"{name}.json")
        yield Step(
            f"{name}: whole run",
            (*run, "--folders", "images", *PLACE, *output),
            prepare=link_images,
        )
        golden = shared / "golden" / f"{name}_predictions.json"
        if golden.exists():
            past = ("--detections_json", str(golden), "--classifications_json", str(golden))
            output = ("--predictions_json", f"{name}_golden.json")
            yield Step(
                f"{name}: golden records",
                (*run, "--ensemble_only", "--folders", "images", *PLACE, *past, *output),
                prepare=link_images,
            )


def error_steps() -> Iterator[Step]:
    """User errors, whose exit codes must stay the same; changes in their messages are listed."""
    mistakes = {
        "unknown flag": ("run_model", "--unknown", "1"),
        "no images": ("run_model", "--predictions_json", "none.json"),
        "missing folder": ("run_model", "--folders", "gone", "--predictions_json", "none.json"),
        "unknown country": ("run_model", "--folders", "inputs/demo", "--country", "XXX",
                            "--predictions_json", "none.json"),
        "unknown model": ("run_model", "--model", "gone", "--folders", "inputs/demo",
                          "--predictions_json", "none.json"),
        "another run's file": ("run_model", "--model", "demo", "--folders", "inputs/demo",
                               "--predictions_json", "all.json", "--country", "KEN"),
        "missing predictions": ("speciesnet_to_table", "gone.json", "gone.csv"),
        "wrong extension": ("speciesnet_to_table", "all.json", "all.xls"),
        "unknown time zone": ("speciesnet_to_camtrap_dp", "all.json", "dp", "--title", "T",
                              "--contributor", "C", "--timezone", "Moon"),
    }  # fmt: skip
    for name, arguments in mistakes.items():
        yield Step(f"mistake: {name}", arguments, code=1)


def help_steps() -> Iterator[Step]:
    """The help of all commands, on all topics."""
    for command in COMMANDS:
        for topic in ("", "all"):
            yield Step(f"help: {command} {topic}".strip(), (command, "--help", *topic.split()))


def _cut_off(folder: Path) -> None:
    """Cuts a copy of the first predictions in the middle of its eighth record."""
    lines = (folder / "all.json").read_bytes().splitlines(keepends=True)
    (folder / "resumed.json").write_bytes(b"".join(lines[:8]) + lines[8][:100])
    shutil.copy(folder / "all.json.run.json", folder / "resumed.json.run.json")


def make_inputs(folder: Path, checkout: Path) -> None:
    """Copies the images, so that both checkouts read them under the same path."""
    images = folder / "demo"
    shutil.copytree(next(checkout.glob("speciesnet/**/demo/images")), images)
    rows = [f"{path.name},{number + 1}.5,{number + 36}.25" for number, path in
            enumerate(sorted(images.iterdir()))]  # fmt: skip
    text = "\n".join(["deploymentID,latitude,longitude", *rows])
    (folder / "deployments.csv").write_text(f"{text}\n", encoding="utf-8")


def run_steps(checkout: Path, steps: list[Step], work: Path, inputs: Path) -> Path:
    """Runs all steps of one checkout in ``work/run``; returns the folder that keeps its files."""
    folder, kept = work / "run", work / f"kept-{checkout.name}-{len(list(work.glob('kept-*')))}"
    folder.mkdir()
    (folder / "inputs").symlink_to(inputs)
    environment = {
        **os.environ,
        "PYTHONPATH": str(checkout),
        "SPECIESNET_CACHE": str(folder / "cache"),
        "COLUMNS": "80",
        "PYTHONHASHSEED": "0",
    }
    for step in steps:
        print(f"{checkout}: {step.name}", file=sys.stderr, flush=True)
        program, *rest = step.arguments
        command = ["-c"] if program == "-c" else ["-m", f"speciesnet.scripts.{program}"]
        try:
            step.prepare(folder)
            done = subprocess.run(
                [sys.executable, *command, *rest],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
            )
            code, out, err = done.returncode, done.stdout, done.stderr
        except OSError as error:  # an earlier step has left no file
            code, out, err = -1, b"", str(error).encode()
        is_data = program == "-c"
        name = step.file_name
        (folder / f"{name}{'.json' if is_data else '.stdout'}").write_bytes(out)
        (folder / f"{name}.stderr").write_bytes(err)
        (folder / f"{name}.code").write_text(f"{code}\n")
        if code != step.code:
            print(f"  exit code {code}, not {step.code}: {err.decode(errors='replace')[-300:]}")
    folder.rename(kept)
    return kept


def files_below(folder: Path) -> set[str]:
    """The relative paths of all files to compare."""
    names = (
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    )
    return {name for name in names if not any(fnmatch.fnmatch(name, one) for one in SKIPPED_FILES)}


def content(path: Path, name: str) -> bytes:
    """A file without its volatile values."""
    data = path.read_bytes()
    for pattern, volatile in VOLATILE.items():
        if fnmatch.fnmatch(name, pattern):
            data = re.sub(volatile, b"", data)
    return data


def skeleton(text: str) -> dict[str, str]:
    """The structure of a help text: from its flags and topics to their defaults."""
    text = re.sub(r"\n {3,}", " ", text)  # joins wrapped lines
    entry = r"(?m)^ {2}(--help \S+|--[\w\[\]]+)(?:.*Default: (\S+)\.)?"
    return {name: default for name, default in re.findall(entry, text) if name}


def structural_changes(before: str, after: str) -> list[str]:
    """Flags, topics and defaults that differ; defaults that only one text prints are ignored."""
    old, new = skeleton(before), skeleton(after)
    changed = [f"- {name}" for name in old.keys() - new.keys()]
    changed += [f"+ {name}" for name in new.keys() - old.keys()]
    changed += [
        f"! {name}: default {old[name]} -> {new[name]}"
        for name in old.keys() & new.keys()
        if old[name].strip("[]") and new[name].strip("[]") and old[name] != new[name]
    ]
    return sorted(changed)


def facts(text: str) -> list[str]:
    """The numbers and paths of a message, without durations and rates."""
    text = re.sub(r"[\d.]+ images/s|in \d+ s|\d\d:\d\d(:\d\d)?|\S+\.py:\d+", "", text)
    return sorted(set(re.findall(r"\S*[\d/]\S*", text)))


def changed_names(before: dict[str, str], after: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """Names that are missing or have different parameters; new names are listed as words."""
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old != new:
            verdict = "words" if old is None else "missing" if new is None else "structure"
            yield f"name {name}", verdict, f"- {old}\n+ {new}"


def compare(before: Path, after: Path) -> Iterator[tuple[str, str, str]]:
    """Yields name, verdict and detail of each file that differs.

    Verdicts are "bytes", "missing", "new", "structure", "facts" and "words".
    """
    old, new = files_below(before), files_below(after)
    for name in sorted(old | new):
        if name not in new or name not in old:
            yield name, "missing" if name in old else "new", ""
            continue
        if filecmp.cmp(before / name, after / name, shallow=False):
            continue
        left, right = content(before / name, name), content(after / name, name)
        if left == right:
            continue
        texts = [data.decode(errors="replace") for data in (left, right)]
        old_lines, new_lines = (text.splitlines(keepends=True) for text in texts)
        detail = "".join(difflib.unified_diff(old_lines, new_lines, n=0))
        if name == "published_names.json":
            yield from changed_names(*map(json.loads, texts))
        elif not any(fnmatch.fnmatch(name, pattern) for pattern in WORDS):
            yield name, "bytes", detail
        elif name.startswith("help_"):
            structure = "\n".join(structural_changes(*texts))
            yield name, "structure" if structure else "words", f"{structure}\n{detail}"
        elif name.endswith(".stdout"):
            yield name, "words" if facts(texts[0]) == facts(texts[1]) else "facts", detail
        else:
            yield name, "words", detail


def golden_agreement(folder: Path, shared: Path) -> Iterator[tuple[str, str]]:
    """How many answers of each run equal those of the published program."""
    for name, golden in (
        ("small_random.json", "small_random_predictions.json"),
        ("small_random_golden.json", "small_random_predictions.json"),
        ("small_random_b.json", "small_random_b_predictions.json"),
        ("small_random_b_golden.json", "small_random_b_predictions.json"),
    ):
        path, published = folder / name, shared / "golden" / golden
        if not path.exists() or not published.exists():
            continue
        answers = [
            {Path(one["filepath"]).name: (one.get("prediction"), one.get("prediction_source"))
             for one in json.loads(file.read_text(encoding="utf-8"))["predictions"]}
            for file in (path, published)
        ]  # fmt: skip
        equal = sum(answers[0].get(key) == value for key, value in answers[1].items())
        yield name, f"{equal} of {len(answers[1])} answers as published"


def main() -> int:
    """Compares the two checkouts named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument(
        "--shared",
        type=Path,
        default=Path(os.environ.get("SPECIESNET_SHARED", REPOSITORY.parent / "shared")),
        help="reference images and packages; their steps are skipped without it",
    )
    parser.add_argument(
        "--only", default="*", help="run only steps whose name matches this pattern"
    )
    parser.add_argument("--diff", action="store_true", help="print all differences")
    parser.add_argument("--keep", type=Path, help="new folder for all outputs")
    options = parser.parse_args()
    steps = [*demo_steps()]
    if (options.shared / "packages").is_dir():
        steps += package_steps(options.shared.resolve())
    else:
        print(f"There is no reference data in {options.shared}: the small packages are skipped.")
    steps += [*error_steps(), *help_steps(), Step("published names", ("-c", PUBLISHED_NAMES))]
    steps = [step for step in steps if fnmatch.fnmatch(step.name, options.only)]
    with tempfile.TemporaryDirectory() as temporary:
        work = (options.keep or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        inputs = work / "inputs"
        inputs.mkdir()
        make_inputs(inputs, options.before)
        before, after = (
            run_steps(checkout.resolve(), steps, work, inputs)
            for checkout in (options.before, options.after)
        )
        differences = list(compare(before, after))
        print(f"\n{len(steps)} commands, {len(files_below(before))} files compared.")
        for name, verdict, detail in differences:
            print(f"{verdict:<10} {name}")
            if options.diff:
                print(detail)
        for folder, checkout in ((before, options.before), (after, options.after)):
            for name, agreement in golden_agreement(folder, options.shared):
                print(f"{checkout}: {name}: {agreement}")
    failed = sum(verdict != "words" for _, verdict, _ in differences)
    print(f"{failed} differences in bytes or structure, {len(differences) - failed} in words only.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
