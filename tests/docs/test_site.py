"""The documentation builds without a warning, and its commands exist."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from documentation import commands as commands_page

from speciesnet.scripts.commands import COMMANDS, DEFAULT

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted(
    [
        *(REPOSITORY / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
        *(REPOSITORY / "docs").rglob("*.md"),
    ]
)
SHELLS = ("bash", "sh", "console", "powershell")
OWN_MODULE = "speciesnet"

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+?)\s*$", re.MULTILINE)
_ANCHOR_IN_REFERENCE = re.compile(r"^::: ([\w.]+)", re.MULTILINE)


def page_id(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Language and text of each fenced block."""
    for match in _FENCE.finditer(page.read_text(encoding="utf-8")):
        yield match[1], match[2]


def commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Module and arguments of each command of ours that a page shows."""
    for language, text in blocks(page):
        if language not in SHELLS:
            continue
        for line in text.replace("\\\n", " ").splitlines():
            for part in line.split("&&"):
                words = shlex.split(part.replace("\\", "/"), comments=True)
                while words and re.fullmatch(r"\w+=.*", words[0]):  # variables before a command
                    words = words[1:]
                if not words:
                    continue
                program = words[0].rsplit("/", 1)[-1]
                if program == OWN_MODULE:
                    name, *arguments = (
                        words[1:] if words[1:2] and words[1] in COMMANDS else [DEFAULT, *words[1:]]
                    )
                    yield f"speciesnet.scripts.{COMMANDS[name][0]}", arguments
                elif re.fullmatch(r"py(thon[\d.]*)?", program) and words[1:2] == ["-m"]:
                    module = words[2]
                    if module.split(".")[0] == OWN_MODULE:
                        yield module, words[3:]


def flags_of(module: str) -> set[str]:
    """The flags of a module that is a command line; fails if there is no such module."""
    flags = importlib.import_module(module.removesuffix(".py")).COMMAND.all_flags
    switches = {f"no{flag.name}" for flag in flags if flag.is_switch}
    return {
        "help",
        *switches,
        *(flag.name for flag in flags),
        *filter(None, (f.alias for f in flags)),
    }


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub and MkDocs make it."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    text = re.sub(r"[^\w\s-]", "", text.replace("`", "").lower())
    return re.sub(r"\s+", "-", text.strip())


def anchors(page: Path) -> set[str]:
    text = page.read_text(encoding="utf-8")
    prose = _FENCE.sub("", text)
    return {
        *(slug(heading) for heading in _HEADING.findall(prose)),
        *_ANCHOR_IN_REFERENCE.findall(prose),
    }


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_commands_name_flags_that_exist(page: Path) -> None:
    for module, arguments in commands(page):
        known = flags_of(module)
        for argument in arguments:
            if argument.startswith("-"):
                name = argument.lstrip("-").partition("=")[0]
                assert name in known, f"{module} has no {argument}"


def test_there_are_commands_to_check() -> None:
    found = [command for page in PAGES for command in commands(page)]
    assert len(found) > 20
    modules = {module for module, _ in found}
    assert {"speciesnet.scripts.run_model", "speciesnet.scripts.speciesnet_to_md"} <= modules
    assert "folders" in flags_of("speciesnet.scripts.run_model")
    assert "noprogress_bars" in flags_of("speciesnet.scripts.run_model")
    assert "base_folder" not in flags_of("speciesnet.scripts.run_model")


def test_list_of_commands_is_that_of_the_code() -> None:
    page = commands_page.PAGE.read_text(encoding="utf-8")
    assert page == commands_page.text(), "run PYTHONPATH=scripts python -m documentation.commands"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_inside_the_repository_resolve(page: Path) -> None:
    prose = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in _LINK.findall(prose):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / unquote(path)).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{link} leads to no heading"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_code_of_pages_is_python(page: Path) -> None:
    for language, text in blocks(page):
        if language == "python":
            compile(text, page_id(page), "exec")


def test_files_that_the_overview_of_the_code_names_exist() -> None:
    rows = re.findall(
        r"^\| (`.*?) \|", (REPOSITORY / "docs" / "development.md").read_text("utf-8"), re.M
    )
    names = [name for row in rows for name in re.findall(r"`([\w/.]+)`", row)]
    files = [path.as_posix() for path in (REPOSITORY / "speciesnet").rglob("*")]
    missing = [
        name
        for name in names
        if not any(f"{file}/".endswith(f"/{name.rstrip('/')}/") for file in files)
    ]
    assert len(names) > 40 and not missing


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason='mkdocs is not installed: pip install -e ".[docs]"')
    pytest.importorskip("material", reason='mkdocs-material is not installed: the extra "docs"')
    pytest.importorskip("mkdocstrings", reason='mkdocstrings is not installed: the extra "docs"')
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=REPOSITORY,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    home = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "Camera-trap images in, species out" in home
    reference = (tmp_path / "site" / "reference" / "models" / "index.html").read_text("utf-8")
    assert 'id="speciesnet.SpeciesNet.predict"' in reference

    # Nothing is fetched from other hosts: no script, style, font or picture.
    fetched = re.compile(
        r"<(?:script|img|link(?=[^>]*rel=.?(?:stylesheet|preconnect)))[^>]*https?://"
    )
    for page in (tmp_path / "site").rglob("*.html"):
        assert not fetched.search(page.read_text(encoding="utf-8")), page
