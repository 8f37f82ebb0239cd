from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.requests import Request

from speciesnet.app import pages

HERE = Path(pages.__file__).parent
TEMPLATES = sorted((HERE / "templates").glob("*.html"))
SCRIPTS = sorted((HERE / "static").glob("*.js"))
KEY = re.compile(r"""\bt\(\s*["`]([^"`$]+)["`]\s*[,)]""")
PLACEHOLDER = re.compile(r"\{(\w+)\}")
# Where the rest of a key is computed.
PREFIXES = (
    "classify", "dp_", "error_", "export_", "fix_", "model_", "place_",
    "rows_", "sort_", "state_", "videos", "write_",
)  # fmt: skip


def request(accepted: str = "", cookie: str = "", path: str = "/", **parameters: str) -> Request:
    headers = [(b"accept-language", accepted.encode()), (b"cookie", cookie.encode())]
    return Request(
        {
            "type": "http",
            "method": "GET",
            "scheme": "http",
            "server": ("127.0.0.1", 8766),
            "path": path,
            "query_string": b"",
            "headers": [one for one in headers if one[1]],
            "path_params": parameters,
        }
    )


def forms(text: str | dict[str, str]) -> Iterator[str]:
    yield from [text] if isinstance(text, str) else text.values()


@pytest.mark.parametrize("language", pages.LANGUAGES)
def test_catalogues_have_the_same_keys_and_placeholders(language: str) -> None:
    english, other = pages.catalogue("en"), pages.catalogue(language)
    assert list(english) == list(other)
    for key, text in english.items():
        assert type(text) is type(other[key]), key
        names = {
            frozenset(PLACEHOLDER.findall(form)) for form in (*forms(text), *forms(other[key]))
        }
        assert len(names) == 1, key
        assert all(form.strip() == form != "" for form in forms(other[key])), key


def test_every_text_of_pages_and_scripts_is_in_the_catalogue_and_no_other() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (*TEMPLATES, *SCRIPTS))
    known = pages.catalogue("en").keys()
    literal = set(KEY.findall(sources))
    assert literal <= known
    rest = {key for key in known - literal if not key.startswith(PREFIXES)}
    assert {key for key in rest if f'"{key}"' not in sources} == set()


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_templates_contain_no_text_style_or_script_of_their_own(template: Path) -> None:
    source = template.read_text(encoding="utf-8")
    source = re.sub(r"\{% block script %\}\w+", "", source)  # its name
    text = re.sub(r"(?s)\{[{%].*?[}%]\}|<[^>]*>", " ", source)
    assert not re.findall(r"[A-Za-z]{2,}", re.sub("(?i)speciesnet( app)?", "", text))
    assert not re.search(r"\s(style|on[a-z]+)=|<style", source)
    assert all("src=" in tag or "json" in tag for tag in re.findall("<script[^>]*>", source))


@pytest.mark.parametrize(
    ("accepted", "cookie", "expected"),
    [
        ("", "", "en"),
        ("pt-BR,pt;q=0.9,en;q=0.8", "", "pt"),
        ("de, en;q=0.5, sw;q=0.7", "", "sw"),
        ("SW", "", "sw"),
        ("fr;q=0, es;q=0.1", "", "es"),
        ("fr;q=x, es;q=0.1", "", "es"),
        ("de", "", "en"),
        ("fr", "speciesnet_language=es", "es"),
        ("fr", "speciesnet_language=../en", "fr"),
    ],
)
def test_language_is_the_chosen_one_or_the_first_of_the_browser(
    accepted: str, cookie: str, expected: str
) -> None:
    assert pages.language_of(request(accepted, cookie)) == expected


@pytest.mark.parametrize("language", pages.LANGUAGES)
@pytest.mark.parametrize("template", [*pages.PAGES.values(), "denied.html"])
def test_pages_are_in_the_language_of_the_reader(template: str, language: str) -> None:
    response = pages.render(template, request(language, survey="a1"))
    page = bytes(response.body).decode()
    assert f'<html lang="{language}">' in page
    skip = pages.catalogue(language)["skip"]
    assert isinstance(skip, str) and skip in page
    assert response.headers["cache-control"] == "no-store"


def test_current_page_is_marked_in_the_menu() -> None:
    page = bytes(pages.render("new.html", request(path="/new")).body).decode()
    assert re.findall('<a href="([^"]+)" aria-current="page">', page) == ["/new"]
