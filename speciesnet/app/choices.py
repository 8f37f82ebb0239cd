"""The models and countries that a user can choose from."""

from __future__ import annotations

import functools
import gettext
from pathlib import Path

from speciesnet.app.jobs import size_of
from speciesnet.files.packages.downloads import cache_folder
from speciesnet.files.packages.info import (
    DEFAULT_MODEL,
    SUPPORTED_MODELS,
    ModelInfo,
    kaggles_cache,
    kaggles_folder,
    published_variation,
)
from speciesnet.geolocation.country_names import other_names

_LANGUAGES = ("es", "fr", "pt", "sw", "de", "it", "nl", "ru", "ar", "hi", "id", "zh_CN", "ja")


PUBLISHED_BYTES = 500_000_000  # approximate size of a published model with its detector


def models() -> list[dict[str, object]]:
    """The models, and how much of each is on this computer."""
    found = []
    for name in (*SUPPORTED_MODELS, "demo"):
        folder = model_folder(name)
        version, kind = published_variation(name) or (None, name)
        info = ModelInfo(str(folder)) if folder else None
        detector = info.local_detector if info else None
        found.append(
            {
                "name": name,
                "version": version,
                "type": kind,
                "on_disk": detector is not None,
                "bytes": PUBLISHED_BYTES if version else None,
                "bytes_here": sum(size_of(path)[0] for path in download_folders(name)),
                "is_default": name == DEFAULT_MODEL,
            }
        )
    return found


def model_folder(name: str) -> Path | None:
    """The folder of a model on this computer, found without a network; None if there is none."""
    if name == "demo":
        return Path(ModelInfo(name).folder)
    return kaggles_cache(name.removeprefix("kaggle:"))


def download_folders(name: str) -> tuple[Path, ...]:
    """The folders into which a published model and its detector are downloaded."""
    if name == "demo":
        return ()
    package = kaggles_folder() / "models" / name.removeprefix("kaggle:")
    return package, cache_folder() / "detectors"


@functools.lru_cache(8)
def countries(language: str) -> list[dict[str, object]]:
    """The countries with their names.

    Args:
        language: The language of the names, such as ``sw``; English if there are no names in it.
    """
    import pycountry

    spoken = {code: _names_in(code) for code in (*_LANGUAGES, language)}
    states = [
        {"code": one.code.removeprefix("US-"), "name": one.name}
        for one in pycountry.subdivisions.get(country_code="US") or ()
    ]
    found = []
    for country in pycountry.countries:
        fields = [getattr(country, key, "") for key in ("name", "common_name", "official_name")]
        english = fields[1] or fields[0]
        names = {_name_in(text, english, fields[0]) for text in spoken.values()}
        also = {one.lower() for one in (*fields, *names, country.alpha_2, country.alpha_3) if one}
        found.append(
            {
                "code": country.alpha_3,
                "name": _name_in(spoken[language], english, fields[0]),
                "also": sorted(also | set(other_names(country.alpha_3))),
                "regions": states if country.alpha_3 == "USA" else [],
            }
        )
    return sorted(found, key=lambda one: str(one["name"]))


def _names_in(language: str) -> gettext.NullTranslations:
    import pycountry

    return gettext.translation("iso3166-1", pycountry.LOCALES_DIR, [language], fallback=True)


def _name_in(texts: gettext.NullTranslations, common: str, name: str) -> str:
    translated = texts.gettext(common)
    return translated if translated != common else (texts.gettext(name) if texts.info() else common)
