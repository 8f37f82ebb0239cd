"""Writes docs/commands.md, the list of all commands and their flags, from the code.

PYTHONPATH=scripts python -m documentation.commands
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from speciesnet.scripts.commands import COMMANDS, command_of
from speciesnet.scripts.console import describe
from speciesnet.scripts.flags import LOG

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"
WIDTH = 80
INTRODUCTION = """\
# Commands and flags

`speciesnet COMMAND` runs a command, and `speciesnet COMMAND --help` explains it. Without a command, it
finds and names the animals in images, as `speciesnet run` does. Every command is also a module:
`python -m speciesnet.scripts.MODULE`, with the module in parentheses below.

`--flag value` and `--flag=value` mean the same; a flag without a value is turned off with `--noflag`.
Every command also takes these:
"""


def text() -> str:
    """The whole page."""
    return "\n".join(_sections()).rstrip() + "\n"


def _sections() -> Iterator[str]:
    yield INTRODUCTION
    yield _block(describe(LOG, WIDTH))
    for name, (module, _) in COMMANDS.items():
        command = command_of(name)
        yield f"## {name} (`{module}`)\n"
        yield _block(command.usage)
        if command.flags:
            yield _block(describe(command.flags, WIDTH))
        for topic, (line, flags) in command.topics.items():
            if own := [flag for flag in flags if flag not in LOG]:
                yield f"### {topic.capitalize()}: {line}\n"
                yield _block(describe(own, WIDTH))


def _block(screen: str) -> str:
    return f"```text\n{screen}```\n"


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
