"""Hooks of MkDocs, for what mkdocs.yml cannot express."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_REPOSITORY = Path(__file__).parents[2]

# Pages that are files from elsewhere in the repository, so that each has one source.
INCLUDED = {
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "demo_model.md": "speciesnet/files/packages/demo/model/MODEL_CARD.md",
}


def on_page_markdown(markdown: str, *, page: Any, **context: Any) -> str:
    """Replaces a placeholder page with the file that it includes."""
    name = INCLUDED.get(page.file.src_uri)
    if name is None:
        return markdown
    text = (_REPOSITORY / name).read_text(encoding="utf-8")
    return re.sub(r"\]\(docs/", "](", text)
