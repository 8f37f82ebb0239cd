"""The flag of the commands that load a whole survey, and how they do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from absl import flags

from speciesnet.scripts.predictions_files import CORRECTIONS, SEQUENCE_GAP

if TYPE_CHECKING:
    from speciesnet.survey.corrections import Correction
    from speciesnet.survey.photographs import Photographs
    from speciesnet.survey.survey import Survey

MODEL = flags.DEFINE_string(
    "model", None, "The model that made the predictions. By default the one that the run noted."
)


def load(
    predictions: str,
    photographs: Photographs | None,
    corrections: Mapping[str, Correction] | None = None,
) -> Survey:
    """The survey of a predictions file, by the flags; see ``load_survey`` for what it raises."""
    from speciesnet.survey.corrections import find_corrections
    from speciesnet.survey.survey import load_survey

    return load_survey(
        predictions,
        photographs=photographs,
        corrections=find_corrections(predictions, CORRECTIONS.value)
        if corrections is None
        else corrections,
        model=MODEL.value,
        gap=SEQUENCE_GAP.value,
    )
