from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
LIST = Path(__file__).with_name("words.txt")
FOLDERS = ("speciesnet", "scripts", "docs", "tests", ".ci", ".github")
FILES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "mkdocs.yml", "pyproject.toml")
SUFFIXES = {".py", ".md", ".html", ".js", ".css", ".sh", ".yml", ".yaml", ".ipynb", ""}
# What wraps a text in code at the end of a line and at the start of the next.
LINE_BREAK = re.compile(r"""[ ]?["']?\n[ \t]*(?:\#[ ]?)?(?:f?["'])?""")


def rules() -> list[tuple[re.Pattern[str], str]]:
    """Patterns of the list, and the better words."""
    found = []
    for line in LIST.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pattern, better = line.split(" => ")
            found.append((re.compile(pattern.strip().replace(" ", r"[ \n]"), re.MULTILINE), better))
    return found


RULES = rules()


def texts() -> Iterator[Path]:
    """All files that people read."""
    for folder in FOLDERS:
        for path in sorted((REPOSITORY / folder).rglob("*")):
            if path.is_file() and path.suffix in SUFFIXES and path != Path(__file__):
                yield path
    yield from (REPOSITORY / name for name in FILES)


def complaints(text: str, name: str) -> list[str]:
    """``file:line: words => better words`` for each match."""
    text = LINE_BREAK.sub("\n", text)
    # Names of tests are sentences.
    text = re.sub(r"def test_\w+", lambda match: match[0].replace("_", " "), text)
    return [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}: "
        f"{' '.join(match[0].split())!r} => {better}"
        for pattern, better in RULES
        for match in pattern.finditer(text)
    ]


def test_texts_contain_no_word_of_the_list() -> None:
    found = [
        line
        for path in texts()
        for line in complaints(
            path.read_text(encoding="utf-8"), path.relative_to(REPOSITORY).as_posix()
        )
    ]
    assert not found, "\n".join(["Words of tests/words.txt:", *found])


@pytest.mark.parametrize(
    "text",
    [
        "Fix it, or " + "mend it.",
        "# It is\n    # " + "no file.",
        '"It is "\n    "' + 'no file."',
        "def test_a_file_that_" + "is_none() -> None:",
        "    survey: " + "It.",
    ],
)
def test_words_are_found_across_lines_and_in_names(text: str) -> None:
    assert len(complaints(text, "a.py")) == 1


@pytest.mark.parametrize("text", ["There is no file.", "It is no longer used.", "if one is None:"])
def test_other_words_are_left_alone(text: str) -> None:
    assert complaints(text, "a.py") == []
