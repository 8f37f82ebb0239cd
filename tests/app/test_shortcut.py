from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from speciesnet.app.shortcut import launcher, write_shortcut
from speciesnet.errors import OutputError

COMMAND = ["/a folder/100%/python", "-m", "speciesnet", "app"]


@pytest.mark.parametrize(
    ("platform", "name", "line"),
    [
        ("win32", "SpeciesNet.bat", '@"/a folder/100%%/python" -m speciesnet app'),
        ("darwin", "SpeciesNet.command", "exec '/a folder/100%/python' -m speciesnet app"),
        (
            "linux",
            "speciesnet.desktop",
            'Exec="/a folder/100%%/python" "-m" "speciesnet" "app"',
        ),
    ],
)
def test_shortcut_runs_the_command_on_each_system(platform: str, name: str, line: str) -> None:
    found, content = launcher(platform, COMMAND)
    assert found == name
    assert line in content.splitlines()


def test_special_characters_are_escaped_twice_in_desktop_entries() -> None:
    assert r'Exec="\\$a\\\\b"' in launcher("linux", ["$a\\b"])[1].splitlines()


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_script_for_macos_runs(tmp_path: Path) -> None:
    script = tmp_path / "x.command"
    script.write_text(launcher("darwin", [sys.executable, "-c", "print('it runs')"])[1])
    done = subprocess.run(["sh", script], capture_output=True, text=True)
    assert done.stdout == "it runs\n"


def test_shortcut_is_written_and_can_be_started(tmp_path: Path) -> None:
    path = write_shortcut(tmp_path / "Desktop")
    assert os.access(path, os.X_OK)
    assert sys.executable.replace("\\", "/") in path.read_text().replace("\\", "/")


def test_error_names_the_shortcut(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        write_shortcut(tmp_path / "file")
