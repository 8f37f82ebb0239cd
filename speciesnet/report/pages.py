"""The pages that report and review share: templates, their links, and the files beside them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

import speciesnet
from speciesnet.report.payload import Mode
from speciesnet.survey.survey import Survey

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE = resources.files("speciesnet.report")
STATIC = ("site.css", "theme.js", "survey.js", "gallery.js", "review.js")


class Link(NamedTuple):
    """A page in the menu, and how many images it is about, or None."""

    url: str
    name: str
    images: int | None = None


def static_file(name: str) -> bytes:
    """A style sheet or script, one of ``STATIC``."""
    return (_HERE / "static" / name).read_bytes()


def counted(number: int, what: str) -> str:
    """``1 image``, ``1,234 images``."""
    return f"{number:,} {what}{'s' * (number != 1)}"


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("speciesnet.report"),
        autoescape=True,  # file names hold what looks like HTML
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["thousands"] = "{:,}".format
    environment.filters["counted"] = counted
    return environment


def render(
    template: str,
    heading: str,
    survey: Survey,
    *,
    mode: Mode,
    pages: list[Link],
    current: str,
    made: str | None = None,
    values: Mapping[str, Any],
) -> str:
    """A page.

    Args:
        template: Its file in ``templates``.
        heading: Its title.
        survey: What it is about.
        mode: Whether a person looks or reviews.
        pages: The menu.
        current: The address of the page in the menu that this one belongs to.
        made: The day on which it was made.
        values: What the template needs beyond that.
    """
    page = (
        _environment()
        .get_template(template)
        .render(
            heading=heading,
            survey=survey.name,
            mode=mode,
            pages=pages,
            current=current,
            made=made,
            version=speciesnet.__version__,
            model_version=survey.model_version,
            **values,
        )
    )
    # Names of files may hold what is no Unicode.
    return page.encode("utf-8", "replace").decode()
