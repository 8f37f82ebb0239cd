"""An icon on the desktop that opens the window, for people who do not use a terminal."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from speciesnet.errors import OutputError

_NAMES = {"win32": "SpeciesNet.bat", "darwin": "SpeciesNet.command"}


def launcher(platform: str, command: Sequence[str]) -> tuple[str, str]:
    """The name and content of a file that runs a command when it is double-clicked.

    Args:
        platform: ``sys.platform``.
        command: The program and its arguments.
    """
    if platform == "win32":
        line = subprocess.list2cmdline(command).replace("%", "%%")
        script = f"@chcp 65001 >nul\n@title SpeciesNet\n@{line}\n@if errorlevel 1 pause\n"
        return _NAMES[platform], script
    if platform == "darwin":
        return _NAMES[platform], f"#!/bin/sh\nexec {shlex.join(command)}\n"
    quoted = " ".join(_desktop_quoted(part) for part in command)
    lines = [
        "[Desktop Entry]",
        "Type=Application",
        "Name=SpeciesNet",
        "Comment=Animals in camera-trap photographs",
        f"Exec={quoted}",
        "Icon=camera-photo",
        "Terminal=true",
    ]
    return "speciesnet.desktop", "\n".join(lines) + "\n"


def _desktop_quoted(text: str) -> str:
    """Quotes an argument by the Desktop Entry Specification: for the command line, then as a string."""
    for special in ("\\", '"', "`", "$"):
        text = text.replace(special, "\\" + special)
    return '"' + text.replace("\\", "\\\\").replace("%", "%%") + '"'


def write_shortcut(folder: Path | None = None) -> Path:
    """Writes the icon and returns its path.

    Args:
        folder: Where to write it; the desktop by default.

    Raises:
        OutputError: It cannot be written.
    """
    name, content = launcher(sys.platform, [sys.executable, "-m", "speciesnet", "app"])
    path = (folder or platformdirs.user_desktop_path()) / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        ending = "\r\n" if sys.platform == "win32" else "\n"
        path.write_text(content, encoding="utf-8", newline=ending)
        if os.name != "nt":
            path.chmod(0o755)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror or error}") from error
    return path
