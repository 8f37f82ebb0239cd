"""Flags of the commands that show a survey, and how they load it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from absl import flags

from speciesnet.scripts.predictions_files import CORRECTIONS, SEQUENCE_GAP

if TYPE_CHECKING:
    from speciesnet.corrections import Correction
    from speciesnet.export.photographs import Photographs
    from speciesnet.survey import Survey

MODEL = flags.DEFINE_string(
    "model", None, "The model that made the predictions. By default the one that the run noted."
)
BLUR_HUMANS = flags.DEFINE_bool("blur_humans", False, "Blur people in every picture.")
THREADS = flags.DEFINE_integer(
    "threads",
    None,
    "Pictures made small at once. By default as many as there are cores, at most 8.",
    lower_bound=1,
)
SURVEY_FLAGS = ["image_root", "blur_humans", "sequence_gap", "corrections", "model", "threads"]


def threads() -> int:
    """How many pictures to make small at once."""
    return THREADS.value or min(os.cpu_count() or 1, 8)


def load(
    predictions: str,
    photographs: Photographs | None,
    corrections: Mapping[str, Correction] | None = None,
) -> Survey:
    """The survey of a predictions file, by the flags; see ``load_survey`` for what it raises."""
    from speciesnet.corrections import find_corrections
    from speciesnet.survey import load_survey

    return load_survey(
        predictions,
        photographs=photographs,
        corrections=find_corrections(predictions, CORRECTIONS.value)
        if corrections is None
        else corrections,
        model=MODEL.value,
        gap=SEQUENCE_GAP.value,
    )
