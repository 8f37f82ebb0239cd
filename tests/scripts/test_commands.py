"""The program and its subcommands: names, help screens, flags."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections import Counter

import pytest
from commands import run_here, run_module
from tqdm import tqdm

from speciesnet.errors import InputError
from speciesnet.scripts.commands import COMMANDS, command_of, resolve
from speciesnet.scripts.console import Command


def fits_a_screen(text: str) -> bool:
    lines = text.splitlines()
    return len(lines) <= 30 and max(map(len, lines)) <= 80


@pytest.fixture(params=COMMANDS)
def command(request: pytest.FixtureRequest) -> Command:
    return command_of(request.param)


def test_every_help_screen_fits_a_screen(command: Command) -> None:
    for topic in ("", *command.topics):
        assert fits_a_screen(command.help(topic)), topic
    assert "There is no help on 'gpus'" in command.help("gpus") or not command.topics


def test_every_flag_of_a_command_is_defined_once_and_explained(command: Command) -> None:
    assert max(Counter(flag.name for flag in command.all_flags).values()) == 1
    everything = command.help("all")
    for flag in (*command.flags, *(f for _, flags in command.topics.values() for f in flags)):
        assert flag.syntax in everything
        assert flag.help.endswith(".")


def test_a_command_takes_no_value_from_the_one_before() -> None:
    first, _ = command_of("report").parse(["report", "p.json", "--out", "a"])
    second, _ = command_of("sort").parse(["sort", "p.json"])
    out = next(flag for flag in command_of("sort").all_flags if flag.name == "out")
    assert (first[out], second[out]) == ("a", None)


def test_help_of_the_program_lists_its_commands() -> None:
    command, arguments = resolve(["--help"])
    screen = command.help("")
    assert arguments == ["--help"] and fits_a_screen(screen)
    assert {*COMMANDS} - {"run"} <= {*re.findall(r"[\w-]+", screen)}
    listing = command.help("commands")
    assert fits_a_screen(listing)
    assert all(f"  {name:<12} {line}\n" in listing for name, (_, line) in COMMANDS.items())
    assert command.help("input") == command_of("run").help("input")


@pytest.mark.parametrize(
    ("words", "name", "arguments"),
    [
        (["report", "p.json", "--out", "x"], "report", ["p.json", "--out", "x"]),
        (["help", "server", "limits"], "server", ["--help", "limits"]),
        (["help", "merge"], "merge", ["--help"]),
        (["run", "--folders", "demo"], "run", ["--folders", "demo"]),
    ],
)
def test_a_command_is_found_by_its_name(words: list[str], name: str, arguments: list[str]) -> None:
    assert resolve(words) == (command_of(name), arguments)


@pytest.mark.parametrize("words", [[], ["--folders", "demo"], ["help"]])
def test_a_run_needs_no_name(words: list[str]) -> None:
    command, arguments = resolve(words)
    assert command.main is command_of("run").main
    assert arguments == (["--help"] if words == ["help"] else words)


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("reprot", "but report is"),
        ("run_on_ray", "but ray is"),
        ("speciesnet_to_md", "but megadetector is"),
        ("IMG_0001.JPG", "pass images with --folders"),
    ],
)
def test_an_unknown_command_is_refused_with_the_nearest_one(word: str, hint: str) -> None:
    with pytest.raises(InputError, match=f"'{word}' is not a command.*{hint}.*\\.$"):
        resolve([word])


def test_the_program_runs_its_commands() -> None:
    def program(*words: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "speciesnet", *words]
        done = subprocess.run(command, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    assert program("help", "merge") == (0, run_here("merge", "--help").out, "")
    module = run_module("merge", "out.json")
    assert program("merge", "out.json") == (module.code, module.out, module.err)
    assert program("mrge")[::2] == (
        1,
        "speciesnet: 'mrge' is not a command, but merge is; see --help.\n",
    )


def test_progress_bars_use_a_lock_that_no_process_tracks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tqdm, "_lock", None, raising=False)
    run_here("merge", "missing.json", "out.json")
    assert isinstance(tqdm.get_lock(), type(threading.RLock()))
