"""The OpenAPI document: schemas, examples and descriptions of every path.

The schemas are written by hand because FastAPI does not parse the requests: they are streamed, and
checked by ``requests.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from fastapi import Response, Security
from fastapi.responses import PlainTextResponse
from fastapi.security import APIKeyHeader, HTTPBearer

from speciesnet import geolocation
from speciesnet.server.requests import MAX_TEXT

Schema = dict[str, Any]  # JSON, as FastAPI types it

_ERRORS = {
    400: "The request is malformed.",
    401: "The request has no valid API key.",
    403: "The server may not read an image, or the request comes from a different site or host name.",
    408: "The request arrived too slowly.",
    413: "The request, an image, a film or the number of images is too large.",
    415: "The request is neither JSON nor a form.",
    500: "Internal server error.",
    503: "The server is busy, starting or stopping. Retry after the seconds in Retry-After.",
    504: "There was no answer in time.",
}
_FOX = "4b4a2d93-6d2b-4b4f-9b5e-6a6a2c0b8a11;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
# A file in base64, or the data URL that browsers create from it.
_BASE64 = "^(data:[^,]*,)?([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"


class Route(TypedDict, total=False):
    """Arguments of FastAPI's route decorators."""

    summary: str
    description: str
    responses: dict[int | str, Schema]
    response_class: type[Response]
    openapi_extra: Schema


def _object(properties: Schema, *required: str) -> Schema:
    schema: Schema = {"type": "object", "properties": properties}
    return schema | {"required": list(required)} if required else schema


def _array(items: Schema, **limits: object) -> Schema:
    return {"type": "array", "items": items, **limits}


def _json(description: str, schema: Schema, **more: object) -> Schema:
    content = {"application/json": {"schema": schema, **more}}
    return {"description": description, "content": content}


def _responses(answer: Schema, *errors: int) -> dict[int | str, Schema]:
    schema = _object({"error": _STRING | {"description": "One sentence."}}, "error")
    found = {e: _json(_ERRORS[e], schema, example={"error": _ERRORS[e]}) for e in errors}
    return {200: answer, **found}


_STRING = {"type": "string"}
_NUMBER = {"type": "number"}
_LOCATION: Schema = {
    "country": _STRING | {"description": "ISO 3166-1 alpha-3 code."},
    "admin1_region": _STRING
    | {"description": "State or province; in the USA, its two-letter code."},
    "latitude": _NUMBER | {"minimum": -90, "maximum": 90, "description": "Degrees."},
    "longitude": _NUMBER | {"minimum": -180, "maximum": 180, "description": "Degrees."},
}
_BOX = {
    "category": {"enum": ["1", "2", "3"]},
    "label": {"enum": ["animal", "human", "vehicle"]},
    "conf": _NUMBER,
    "bbox": _array(_NUMBER, minItems=4, maxItems=4)
    | {"description": "[xmin, ymin, width, height], relative to the image."},
    "frame_number": {
        "type": "integer",
        "description": "The number of the frame of a film, from 0.",
    },
    "timestamp": _NUMBER | {"description": "The time of this frame in seconds."},
}
_RECORD = {
    "filepath": _STRING,
    "failures": _array({"enum": ["CLASSIFIER", "DETECTOR", "GEOLOCATION"]}),
    **_LOCATION,
    "classifications": _object({"classes": _array(_STRING), "scores": _array(_NUMBER)}),
    "detections": _array(_object(_BOX)),
    "prediction": _STRING,
    "prediction_score": _NUMBER,
    "prediction_source": _STRING,
    "model_version": _STRING,
    "frame_rate": _NUMBER | {"description": "The film's average number of frames per second."},
    "frames_processed": _array({"type": "integer"})
    | {"description": "The examined frames of a film."},
    "frames_failed": {"type": "integer"},
    "duration": _NUMBER | {"description": "The length of a film in seconds."},
    "frame": _object({"frame_number": {"type": "integer"}, "timestamp": _NUMBER})
    | {"description": "The frame that represents a film."},
}
_RECORDS = _array(_object(_RECORD, "filepath", "model_version"))
_ANSWER = {
    "filepath": "fox.jpg",
    "country": "GBR",
    "classifications": {"classes": [_FOX], "scores": [0.97]},
    "detections": [{"category": "1", "label": "animal", "conf": 0.9, "bbox": [0.1, 0.2, 0.3, 0.4]}],
    "prediction": _FOX,
    "prediction_score": 0.97,
    "prediction_source": "classifier",
    "model_version": "4.0.0a",
}
_REGIONS_OF_USA = {  # those of other countries are not checked
    "if": {"required": ["country"], "properties": {"country": {"const": geolocation.USA}}},
    "then": {
        "properties": {"admin1_region": {"enum": [*sorted(geolocation.us_regions()), "", None]}}
    },
}
_REQUESTS = {
    "an image in the request": {"filepath": "fox.jpg", "country": "GBR", "image": "/9j/4AAQ"},
    "files on the server": {"filepath": "/photographs/1.jpg", "country": "KEN"},
}


def _location(*, nullable: bool) -> Schema:
    """The location of an image in a request; empty values are ignored."""
    countries = [*sorted(geolocation.country_codes()), "", *([None] if nullable else [])]
    extra: Schema = {
        "country": {"enum": countries, "examples": ["KEN"]},
        "admin1_region": {"maxLength": MAX_TEXT, "examples": ["CA"]},
    }
    return {
        name: {**schema, **extra.get(name, {})}
        | ({"type": [schema["type"], "null"]} if nullable else {})
        for name, schema in _LOCATION.items()
    }


def predict(extra_fields: Sequence[str], max_images: int) -> Route:
    """Describes the path of prediction requests.

    Args:
        extra_fields: Names of fields that are copied from an instance into its record.
        max_images: The largest number of images in a request.
    """
    extras = {name: {"description": "Copied into the record."} for name in extra_fields}
    filepath = _STRING | {
        "minLength": 1,
        "maxLength": MAX_TEXT,
        "description": "A path or URL that the server may read, or a name if there is an image.",
    }
    image = {
        "type": ["string", "null"],
        "pattern": _BASE64,
        "description": "The image file in base64.",
    }
    instance = _object(
        {"filepath": filepath, "image": image, **_location(nullable=True), **extras}, "filepath"
    )
    count = {"minItems": 1, "maxItems": max_images}
    instances = _array(instance | _REGIONS_OF_USA, **count)
    files = _array(_STRING | {"format": "binary"}, **count)
    form = _object({"files": files, **_location(nullable=False), **extras}, "files")
    content = {
        "application/json": {
            "schema": _object({"instances": instances}, "instances"),
            "examples": {k: {"value": {"instances": [v]}} for k, v in _REQUESTS.items()},
        },
        "multipart/form-data": {"schema": form},
    }
    schema = _object({"predictions": _RECORDS}, "predictions")
    answer = _json("One record per image, in order.", schema, example={"predictions": [_ANSWER]})
    return {
        "summary": "Predicts the species in images.",
        "description": "Returns one record per image, in order. The record of an image that cannot be "
        "read has failures.",
        "responses": _responses(answer, *_ERRORS),
        "openapi_extra": {"requestBody": {"required": True, "content": content}},
    }


def _status(summary: str, word: str, *errors: int) -> Route:
    answer = _json(f"The server is {word}.", _object({"status": {"const": word}}, "status"))
    return {"summary": summary, "responses": _responses(answer, *errors)}


HEALTH = _status("Whether the server is alive.", "alive", 403)
READY = _status("Whether the model is loaded and the server accepts requests.", "ready", 403, 503)
METRICS: Route = {
    "summary": "Metrics in the format of Prometheus.",
    "response_class": PlainTextResponse,
    "responses": _responses({"description": "The metrics."}, 401, 403),
}
# For the document only: the middleware checks the keys.
KEYS = (
    Security(HTTPBearer(scheme_name="bearer", auto_error=False)),
    Security(APIKeyHeader(name="X-API-Key", scheme_name="key", auto_error=False)),
)
