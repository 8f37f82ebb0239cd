"""The table of boxes that never move."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from speciesnet.ensemble.taxonomy import species_name
from speciesnet.export.tables import Row
from speciesnet.survey.stones import Stone

COLUMNS: dict[str, type] = {
    "name": str, "verdict": str, "camera": str, "kind": str, "boxes": int, "days": int, "first": str,
    "last": str, "empty": float, "confidence": float, "answer": str, "image": str, "xmin": float,
    "ymin": float, "width": float, "height": float,
}  # fmt: skip


def stone_rows(stones: Iterable[Stone]) -> Iterator[Row]:
    """One row for each group, with its central box."""
    for stone in stones:
        path, (xmin, ymin, width, height) = stone.boxes[0]
        yield {
            "name": stone.name,
            "verdict": stone.verdict,
            "camera": stone.camera,
            "kind": stone.kind,
            "boxes": len(stone.boxes),
            "days": stone.days if stone.first else None,
            "first": stone.first,
            "last": stone.last,
            "empty": round(stone.empty, 4) if stone.first else None,
            "confidence": round(stone.conf, 4),
            "answer": next(map(species_name, stone.answers), None),
            "image": path,
            "xmin": xmin,
            "ymin": ymin,
            "width": width,
            "height": height,
        }
