"""What MkDocs does with the pages in addition to what mkdocs.yml says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_REPOSITORY = Path(__file__).parents[2]

# Pages that are files from elsewhere in the repository, so that each has one source.
INCLUDED = {
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "demo_model.md": "speciesnet/demo/model/MODEL_CARD.md",
}


def on_page_markdown(markdown: str, *, page: Any, **context: Any) -> str:
    """Puts an included file in the place of the page that stands for it."""
    name = INCLUDED.get(page.file.src_uri)
    if name is None:
        return markdown
    text = (_REPOSITORY / name).read_text(encoding="utf-8")
    return re.sub(r"\]\(docs/", "](", text)
