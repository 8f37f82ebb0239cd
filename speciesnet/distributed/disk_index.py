"""Indexes of images that would be too many for memory."""

from __future__ import annotations

import sqlite3
from pathlib import Path

CACHE_KIB = 64 * 1024  # of what lies on the disk


def new_index(folder: Path, table: str) -> sqlite3.Connection:
    """An empty table in a file of its own, which nobody needs after a crash.

    Args:
        folder: Where there is no other.
        table: Its name and columns, with a primary key.

    Raises:
        sqlite3.Error: There is no room for it.
    """
    index = sqlite3.connect(folder / "index.sqlite")
    for setting in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KIB}"):
        index.execute(f"PRAGMA {setting}")
    index.execute(f"CREATE TABLE {table} WITHOUT ROWID")
    return index
