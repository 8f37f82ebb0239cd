"""What the OpenAPI document says of each path, with examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import Security
from fastapi.responses import PlainTextResponse
from fastapi.security import APIKeyHeader, HTTPBearer

from speciesnet import geolocation
from speciesnet.server.requests import MAX_TEXT

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "description": "One sentence."}},
}
_REASONS = {
    400: "The request is malformed.",
    401: "There is no valid API key.",
    403: "An image is where this server may not read, or the request comes from elsewhere.",
    408: "The request arrives too slowly.",
    413: "The request, an image or the number of images is too large.",
    415: "The request is neither JSON nor a form.",
    500: "Something is wrong in the server.",
    503: "The server is busy, starting or stopping; the header Retry-After says when to come back.",
    504: "There was no answer in time.",
}
_FOX = "4b4a2d93-6d2b-4b4f-9b5e-6a6a2c0b8a11;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
_LOCATION = {  # in a record
    "country": {"type": "string", "description": "ISO 3166-1 alpha-3 code."},
    "admin1_region": {"type": "string", "description": "State, for the USA its two letters."},
    "latitude": {"type": "number", "minimum": -90, "maximum": 90, "description": "Degrees."},
    "longitude": {"type": "number", "minimum": -180, "maximum": 180, "description": "Degrees."},
}
# As a file in base64, or the address that browsers make of it.
_BASE64 = "^(data:[^,]*,)?([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
_RECORD = {
    "type": "object",
    "required": ["filepath", "model_version"],
    "properties": {
        "filepath": {"type": "string"},
        "failures": {
            "type": "array",
            "items": {"enum": ["CLASSIFIER", "DETECTOR", "GEOLOCATION"]},
        },
        **_LOCATION,
        "classifications": {
            "type": "object",
            "properties": {
                "classes": {"type": "array", "items": {"type": "string"}},
                "scores": {"type": "array", "items": {"type": "number"}},
            },
        },
        "detections": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "category": {"enum": ["1", "2", "3"]},
                    "label": {"enum": ["animal", "human", "vehicle"]},
                    "conf": {"type": "number"},
                    "bbox": {
                        "type": "array",
                        "items": {"type": "number"},
                        "minItems": 4,
                        "maxItems": 4,
                        "description": "[xmin, ymin, width, height], relative to the image.",
                    },
                },
            },
        },
        "prediction": {"type": "string"},
        "prediction_score": {"type": "number"},
        "prediction_source": {"type": "string"},
        "model_version": {"type": "string"},
    },
}
_ANSWER = {
    "predictions": [
        {
            "filepath": "fox.jpg",
            "country": "GBR",
            "classifications": {"classes": [_FOX], "scores": [0.97]},
            "detections": [
                {"category": "1", "label": "animal", "conf": 0.9, "bbox": [0.1, 0.2, 0.3, 0.4]}
            ],
            "prediction": _FOX,
            "prediction_score": 0.97,
            "prediction_source": "classifier",
            "model_version": "4.0.0a",
        }
    ]
}


def _error(status: int) -> dict[str, Any]:
    content = {"schema": _ERROR, "example": {"error": _REASONS[status]}}
    return {"description": _REASONS[status], "content": {"application/json": content}}


def _place(*, or_null: bool) -> dict[str, Any]:
    """Where an image was taken, in a request; what is empty is as if it were not there."""
    countries = sorted(geolocation.country_codes())
    nothing = [None] if or_null else []
    kinds = {kind: [kind, "null"] if or_null else kind for kind in ("string", "number")}
    return {
        "country": _LOCATION["country"]
        | {"type": kinds["string"], "enum": [*countries, "", *nothing], "examples": ["KEN"]},
        "admin1_region": _LOCATION["admin1_region"]
        | {"maxLength": MAX_TEXT, "type": kinds["string"], "examples": ["CA"]},
        **{name: _LOCATION[name] | {"type": kinds["number"]} for name in ("latitude", "longitude")},
    }


_STATES = {  # the USA's are known, and others' are taken as they are
    "if": {"required": ["country"], "properties": {"country": {"const": geolocation.USA}}},
    "then": {
        "properties": {"admin1_region": {"enum": [*sorted(geolocation.US_REGIONS), "", None]}}
    },
}


def predict(extra_fields: Sequence[str], max_images: int) -> dict[str, Any]:
    """Of the path where predictions are asked for.

    Args:
        extra_fields: Fields of an instance that are carried over.
        max_images: In one request.
    """
    extras = {name: {"description": "Carried over into the record."} for name in extra_fields}
    instance = {
        "type": "object",
        "required": ["filepath"],
        "properties": {
            "filepath": {
                "type": "string",
                "minLength": 1,
                "maxLength": MAX_TEXT,
                "description": "A path or address that the server may read, or the name of image.",
            },
            "image": {
                "type": ["string", "null"],
                "pattern": _BASE64,
                "description": "The file itself, in base64.",
            },
            **_place(or_null=True),
            **extras,
        },
        **_STATES,
    }
    examples = {
        "an image in the request": {
            "value": {"instances": [{"filepath": "fox.jpg", "country": "GBR", "image": "/9j/4AAQ"}]}
        },
        "files on the server": {
            "value": {"instances": [{"filepath": "/photographs/1.jpg", "country": "KEN"}]}
        },
    }
    document = {
        "schema": {
            "type": "object",
            "required": ["instances"],
            "properties": {
                "instances": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": max_images,
                    "items": instance,
                }
            },
        },
        "examples": examples,
    }
    files = {
        "type": "array",
        "minItems": 1,
        "maxItems": max_images,
        "items": {"type": "string", "format": "binary"},
    }
    form = {
        "schema": {
            "type": "object",
            "required": ["files"],
            "properties": {"files": files, **_place(or_null=False), **extras},
        }
    }
    schema = {
        "type": "object",
        "required": ["predictions"],
        "properties": {"predictions": {"type": "array", "items": _RECORD}},
    }
    answer = {"application/json": {"schema": schema, "example": _ANSWER}}
    responses = {status: _error(status) for status in _REASONS}
    return {
        "summary": "Predicts the species on photographs.",
        "description": "One record for each image, in order; one that cannot be read has failures.",
        "responses": {200: {"description": "The records.", "content": answer}, **responses},
        "openapi_extra": {
            "requestBody": {
                "required": True,
                "content": {"application/json": document, "multipart/form-data": form},
            }
        },
    }


def _status(word: str) -> dict[str, Any]:
    schema = {"type": "object", "required": ["status"], "properties": {"status": {"const": word}}}
    return {"description": "It is.", "content": {"application/json": {"schema": schema}}}


HEALTH: dict[str, Any] = {
    "summary": "Whether the server is alive.",
    "responses": {200: _status("alive"), 403: _error(403)},
}
READY: dict[str, Any] = {
    "summary": "Whether the model is loaded and requests are taken.",
    "responses": {200: _status("ready"), 403: _error(403), 503: _error(503)},
}
METRICS: dict[str, Any] = {
    "summary": "Counts for Prometheus.",
    "response_class": PlainTextResponse,
    "responses": {200: {"description": "Text."}, 401: _error(401), 403: _error(403)},
}
# These only say what the gate wants.
KEYS = (
    Security(HTTPBearer(scheme_name="bearer", auto_error=False)),
    Security(APIKeyHeader(name="X-API-Key", scheme_name="key", auto_error=False)),
)
