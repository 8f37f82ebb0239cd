"""Draws the map of the world in ``speciesnet app`` from Natural Earth's countries (public domain).

    npm pack world-atlas@2.0.2 && tar xzf world-atlas-2.0.2.tgz
    python scripts/world_map.py package/countries-110m.json > speciesnet/app/static/world.svg

The npm package world-atlas (ISC license) contains them as TopoJSON: countries made of arcs, whose
points are differences on a grid (https://github.com/topojson/topojson-specification).
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

UNITS = 4  # a degree
TOP, BOTTOM = 84, -56  # degrees north
WIDTH = 360 * UNITS
LEAST = 2  # units between two points
FILL, BORDER = "#7d9c8c", "#fff"

Point = tuple[int, int]


def arcs_of(topology: dict[str, Any]) -> list[list[Point]]:
    """The arcs, in units of the map."""
    (x_scale, y_scale), (x_start, y_start) = (
        topology["transform"][key] for key in ("scale", "translate")
    )
    arcs = []
    for arc in topology["arcs"]:
        x = y = 0
        points = []
        for dx, dy in arc:
            x, y = x + dx, y + dy
            longitude, latitude = x * x_scale + x_start, y * y_scale + y_start
            points.append((round((longitude + 180) * UNITS), round((TOP - latitude) * UNITS)))
        arcs.append(points)
    return arcs


def rings_of(geometry: dict[str, Any]) -> Iterator[Sequence[int]]:
    """The rings of a country, as numbers of arcs; ``~number`` is an arc from its end."""
    polygons = geometry["arcs"]
    for polygon in [polygons] if geometry["type"] == "Polygon" else polygons:
        yield from polygon


def path_of(points: Sequence[Point]) -> str | None:
    """A closed path through points, with differences; None if nothing can be seen of it."""
    kept = [points[0]]
    for point in points[1:-1]:
        if math.dist(point, kept[-1]) >= LEAST:
            kept.append(point)
    if len(kept) < 3 or all(y > (TOP - BOTTOM) * UNITS for _, y in kept):
        return None
    words = ""
    for (x, y), (before_x, before_y) in zip(kept[1:], kept, strict=False):
        for difference in (x - before_x, y - before_y):
            words += f"{'' if difference < 0 or not words else ' '}{difference}"
    return f"M{kept[0][0]} {kept[0][1]}l{words}z"


def copies_of(points: Sequence[Point]) -> Iterator[list[Point]]:
    """A ring without jumps; one that crosses the edge of the map also appears at the other edge."""
    found, shift = [points[0]], 0
    for (x, y), (before, _) in zip(points[1:], points, strict=False):
        if abs(x - before) > WIDTH / 2:
            shift += WIDTH if x < before else -WIDTH
        found.append((x + shift, y))
    yield found
    if min(x for x, _ in found) < 0:
        yield [(x + WIDTH, y) for x, y in found]
    if max(x for x, _ in found) > WIDTH:
        yield [(x - WIDTH, y) for x, y in found]


def main() -> None:
    """Reads the TopoJSON file that is named, and prints the map."""
    topology = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    arcs, paths = arcs_of(topology), []
    for country in topology["objects"]["countries"]["geometries"]:
        for ring in rings_of(country):
            points: list[Point] = []
            for number in ring:
                arc = arcs[number] if number >= 0 else arcs[~number][::-1]
                points += arc[1:] if points else arc
            paths += filter(None, map(path_of, copies_of(points)))
    shape = "\n".join(paths)
    sys.stdout.write(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {(TOP - BOTTOM) * UNITS}">\n'
        f"<!-- Countries from Natural Earth (public domain): {UNITS} units a degree, from 180 degrees "
        f"west and {TOP} degrees north. -->\n"
        f'<path fill="{FILL}" stroke="{BORDER}" stroke-linejoin="round" d="{shape}"/>\n</svg>\n'
    )


if __name__ == "__main__":
    main()
