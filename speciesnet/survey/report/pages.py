"""The pages that report and review share: templates, their menu, and static files."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

import speciesnet
from speciesnet.survey.report.payload import Mode
from speciesnet.survey.survey import Survey

_HERE = resources.files("speciesnet.survey.report")
STATIC = (
    "site.css", "theme.js", "survey.js", "boxes.js", "gallery.js", "review.js", "review_boxes.js",
    "review_stones.js",
)  # fmt: skip


class Link(NamedTuple):
    """An entry of the menu: a page and, if it lists images, their number."""

    url: str
    name: str
    images: int | None = None


def static_file(name: str) -> bytes:
    """Returns the content of a style sheet or script, one of ``STATIC``."""
    return (_HERE / "static" / name).read_bytes()


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun.

    >>> counted(1, "image"), counted(1234, "image")
    ('1 image', '1,234 images')
    """
    return f"{number:,} {noun}{'s' * (number != 1)}"


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("speciesnet.survey.report"),
        autoescape=True,  # file names may contain HTML
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["thousands"] = "{:,}".format
    environment.filters["counted"] = counted
    return environment


@dataclass(frozen=True)
class Pages:
    """Renders the pages of one survey.

    Attributes:
        survey: The survey.
        mode: Whether the pages are a report or a review.
        menu: The entries of the menu.
        made: The day to print on every page, ISO 8601, or None.
    """

    survey: Survey
    mode: Mode
    menu: Sequence[Link]
    made: str | None = None

    def render(self, template: str, heading: str, current: str, **values: object) -> bytes:
        """Returns a page in UTF-8.

        Args:
            template: A file in ``templates``.
            heading: The title of the page.
            current: The URL of its entry in the menu.
            values: The variables of this template.
        """
        page = (
            _environment()
            .get_template(template)
            .render(
                heading=heading,
                survey=self.survey.name,
                mode=self.mode,
                pages=self.menu,
                current=current,
                made=self.made,
                version=speciesnet.__version__,
                model_version=self.survey.model_version,
                notes=self.survey.notes,
                **values,
            )
        )
        return page.encode("utf-8", "replace")  # file names may contain what is not Unicode
