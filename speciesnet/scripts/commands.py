"""The program ``speciesnet``: a run by default, or one of its subcommands."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from textwrap import fill

from speciesnet.errors import InputError
from speciesnet.scripts import console

# The module of each subcommand, and a line about it.
COMMANDS = {
    "run": ("run_model", "find and name the animals in images (the default)"),
    "app": ("app", "do everything on a page in the browser, without a terminal"),
    "report": ("report", "make pages about a survey and its photographs, to open from disk"),
    "review": ("review", "confirm and correct answers in the browser"),
    "evaluate": ("evaluate", "measure how often the answers are right, with labels of your own"),
    "stones": ("stones", "find boxes that never move, and leave them out"),
    "cameras": ("cameras", "find cameras that failed, and count the nights that each worked"),
    "table": ("speciesnet_to_table", "write predictions to a table, CSV or Parquet"),
    "ecology": ("ecology", "write detection rates, activity and occupancy tables, for R"),
    "camtrap-dp": ("speciesnet_to_camtrap_dp", "write predictions to a Camtrap DP data package"),
    "megadetector": (
        "speciesnet_to_md",
        "write predictions in MegaDetector's format, for Timelapse",
    ),
    "sort": ("sort_images", "sort photographs into folders by species"),
    "keywords": ("write_keywords", "write predictions as keywords for Lightroom and digiKam"),
    "crops": ("crops", "write a picture of each box, in folders by answer"),
    "draw": ("draw", "write photographs with their boxes drawn"),
    "merge": ("merge", "join the predictions of several jobs into one file"),
    "ray": ("run_on_ray", "run on a Ray cluster"),
    "server": ("run_server", "serve predictions to other programs, over HTTP"),
    "prepare": ("prepare", "download and convert a model before its first run"),
    "gpu-test": ("gpu_test", "show which GPUs are found"),
}
DEFAULT = "run"


def command_of(name: str) -> console.Command:
    """A subcommand by its name."""
    module, _ = COMMANDS[name]
    command = import_module(f"speciesnet.scripts.{module}").COMMAND
    assert isinstance(command, console.Command)
    return command


def resolve(words: Sequence[str]) -> tuple[console.Command, list[str]]:
    """The command that a command line names, and the arguments of that command.

    Args:
        words: The command line without the program: ``[COMMAND] FLAGS`` or ``help [COMMAND [TOPIC]]``.

    Raises:
        InputError: There is no such command.
    """
    if words[:1] == ["help"]:
        rest = words[1:]
        is_topic = rest[:1] == ["commands"]
        words = ["--help", *rest] if is_topic else [*rest[:1], "--help", *rest[1:]]
    if not words or words[0].startswith("-"):
        names = fill(", ".join(name for name in COMMANDS if name != DEFAULT), 80)
        return replace(
            command_of(DEFAULT),
            screens={"commands": _commands_screen()},
            epilogue=f"  --help commands  what each of these other commands does:\n\n{names}\n",
        ), [*words]
    name, *arguments = words
    if name not in COMMANDS:
        raise InputError(_unknown(name))
    return command_of(name), arguments


def _commands_screen() -> str:
    lines = [f"  {name:<12} {line}\n" for name, (_, line) in COMMANDS.items()]
    return f"speciesnet COMMAND:\n{''.join(lines)}"


def cli() -> None:
    """Runs the program."""
    program, *words = sys.argv
    try:
        command, arguments = resolve(words)
    except InputError as error:
        console.say(str(error))
        sys.exit(console.EXIT_ERROR)
    sys.argv = [program, *arguments]
    console.start(command)


def _unknown(name: str) -> str:
    """The error for a word that is not a subcommand; suggests the most similar one."""
    from difflib import get_close_matches

    nearest = [command for command, (module, _) in COMMANDS.items() if module == name]
    if nearest := nearest or get_close_matches(name.lower(), COMMANDS, n=1):
        return f"{name!r} is not a command, but {nearest[0]} is; see --help."
    return f"{name!r} is not a command; see --help, and pass images with --folders IMAGES."
