"""A table with one row for each sequence: its images together, and their one answer."""

from __future__ import annotations

from collections.abc import Iterator

from speciesnet.export.tables import Row
from speciesnet.survey.survey import Survey
from speciesnet.taxonomy import Label, split_label

SEQUENCE_COLUMNS: dict[str, type] = {
    "folder": str, "sequence": int, "start": str, "end": str, "images": int, "reviewed": int,
    "first_file": str, "uuid": str, "class": str, "order": str, "family": str, "genus": str,
    "species": str, "common_name": str, "score": float, "source": str,
}  # fmt: skip


def sequence_rows(survey: Survey) -> Iterator[Row]:
    """The rows, by folder and time; None stands for an empty cell.

    ``start`` and ``end`` are by the camera's clock; ``reviewed`` counts images that people decided on.
    """
    for sequence in survey.sequences:
        pictures = [survey.pictures[position] for position in sequence.pictures]
        label, score, source = sequence.answer or (None, None, None)
        parts = split_label(label) if label is not None else Label()
        yield {
            "folder": sequence.camera,
            "sequence": sequence.number,
            "start": pictures[0].taken,
            "end": pictures[-1].taken,
            "images": len(pictures),
            "reviewed": sum(picture.correction is not None for picture in pictures),
            "first_file": pictures[0].filepath,
            **{name.rstrip("_"): part or None for name, part in parts._asdict().items()},
            "score": score,
            "source": source,
        }
