"""Checks of Camtrap DP packages."""

from __future__ import annotations

import json
from pathlib import Path

import frictionless
import jsonschema


def assert_valid(folder: Path, schemas: Path) -> None:
    """Checks a package against the published schemas, with other people's validators."""
    descriptor = json.loads((folder / "datapackage.json").read_text(encoding="utf-8"))
    profile = json.loads((schemas / "camtrap-dp-profile.json").read_text(encoding="utf-8"))
    own_rules = profile["allOf"][1] | {"$defs": profile["$defs"]}
    own_rules["properties"]["spatial"].pop("$ref")  # the schema of GeoJSON is not available
    jsonschema.Draft4Validator(own_rules).validate(descriptor)
    del descriptor["profile"]  # frictionless would fetch it
    for resource in descriptor["resources"]:
        schema = schemas / resource["schema"].rpartition("/")[2]
        resource["schema"] = json.loads(schema.read_text(encoding="utf-8"))
    report = frictionless.Package(descriptor, basepath=str(folder)).validate()
    assert report.valid, report.flatten(["type", "title", "note"])
    assert {task.name for task in report.tasks} == {"deployments", "media", "observations"}
