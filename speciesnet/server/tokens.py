"""The secret first part of the addresses of pages on this computer."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

from speciesnet.files.packages.downloads import cache_folder
from speciesnet.files.storage import scheme_of


def token_of(subject: str | os.PathLike[str]) -> str:
    """Returns the secret first part of a review's or window's addresses; it stays the same after a crash.

    It is stored in the user's cache, where only the user can read it.

    Args:
        subject: The predictions file of the review, or the folder of the window.
    """
    is_url = scheme_of(os.fspath(subject)) is not None
    place = subject if is_url else Path(subject).resolve()
    name = hashlib.sha256(os.fsencode(place)).hexdigest()[:16]
    path = cache_folder() / "review" / name
    try:
        if token := path.read_text(encoding="ascii").strip():
            return token
    except (OSError, ValueError):
        pass
    token = secrets.token_urlsafe(12)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o600)
        path.write_text(token, encoding="ascii")
    except OSError:  # the pages that are open now cannot reach the next server then
        pass
    return token
