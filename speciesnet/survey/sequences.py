"""Sequences: the photographs of one passing animal, and their one answer.

Photographs belong together by the clock of their camera, see ``sequence_numbers``. Their answer,
see ``sequence_answer``, is decided by these rules, in order:

1. Images that failed, or have no answer, do not count.
2. Images whose answer is blank, including those that a person confirmed as blank, do not count, unless
   all images are blank: the animal was out of sight.
3. If a person reviewed any of the images that count, the most frequent of these answers is taken.
4. The scores of each class are averaged over the images that count. The five best classes go into the
   decision table, together with the most confident box of these images.

5. If the run had a species list, it applies to this answer as to those of the images.

So five frames at 0.5 for one species outweigh one at 0.6 for another, and frames that agree only on a
family or an order are answered by the roll-up.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from speciesnet.constants import DEFAULT_SEQUENCE_GAP, TOP_CLASSES, Classification
from speciesnet.ensemble import combine_predictions_for_single_item
from speciesnet.files.paths import Parts, with_slashes
from speciesnet.geofence import Answer, Rules
from speciesnet.records import Classifications, Record, answer_of
from speciesnet.survey.corrections import SOURCE
from speciesnet.taxonomy import BLANK, category_of

# Folders that cameras make on their cards, by the DCF standard (CIPA DC-009): DCIM, and in it a number
# and five characters. Below DCIM, these can be any characters. Elsewhere, sites such as 101NORTH look the
# same, so that only the names of makers count; the first five are also in MegaDetector's
# image_file_to_camera_folder.
CARD = "DCIM"
_BELOW_CARD = re.compile(r"(?!\d+$)[1-9]\d\d\w{5}", re.ASCII)
_BY_MAKERS = re.compile(
    r"[1-9]\d\d(RECNX|EK\d{3}|_BTCF|MEDIA|DSCIM|BTCF_|MFCAM|CUDDY|SYCAM|STLTH|IMAGE|CANON|EOS\w\w|NIKON|MSDCF|_PANA|OLYMP|_FUJI|"
    r"PENTX|RICOH|CASIO|SIGMA|GOPRO|APPLE)",
    re.ASCII | re.IGNORECASE,
)
# Multiples of the gap; with its default, 15 minutes and 5 minutes. See docs/sequences.md.
MAX_GAPS = 15
MAX_BLANK_GAPS = 5
_CLOCK = len("2024-05-01T06:30:00")
_UNDATED = datetime.max  # after all photographs with a date


def camera_folder(filepath: str) -> Parts:
    """The folder that identifies the camera of a photograph, without ``DCIM`` and ``100RECNX``.

    Serial numbers, dates, and names of sites such as ``101NORTH`` remain.

    Examples:
        >>> camera_folder("survey/cam1/DCIM/100RECNX/IMG_0001.JPG")
        ('survey', 'cam1')
        >>> camera_folder("survey/10012345/IMG_0001.JPG")
        ('survey', '10012345')
    """
    return without_card(tuple(with_slashes(filepath).split("/")[:-1]))


def without_card(folder: Parts) -> Parts:
    """A folder without the folders that the camera made at its end."""
    while folder and _is_made_by_camera(folder):
        folder = folder[:-1]
    return folder


def _is_made_by_camera(folder: Parts) -> bool:
    *above, name = folder
    if name.upper() == CARD or _BY_MAKERS.fullmatch(name):
        return True
    return above[-1:] != [] and above[-1].upper() == CARD and bool(_BELOW_CARD.fullmatch(name))


def clock_time(taken: str) -> datetime:
    """The time on the camera's clock, to the second, in an ISO 8601 date.

    An offset is ignored: a camera may write it into only some of its photographs.

    Raises:
        ValueError: The date is invalid.
    """
    return datetime.fromisoformat(taken[:_CLOCK])


def is_blank(record: Record) -> bool:
    """Whether the model answered that nothing is in the image; a failure is not blank.

    Raises:
        KeyError: The record is malformed; so are ``TypeError``, ``ValueError``, ``IndexError``.
    """
    label = answer_of(record)[0]
    return label is not None and category_of(label) == BLANK


def sequence_numbers(
    photographs: Iterable[tuple[str, str | None]],
    gap: float = DEFAULT_SEQUENCE_GAP,
    blanks: Sequence[bool] | bytes = b"",
) -> list[int]:
    """Numbers the sequences of each camera from 1, in the order of time.

    A photograph continues the sequence of the previous one of its camera, unless

    - they are more than ``gap`` apart,
    - the sequence would last longer than ``MAX_GAPS`` gaps, or
    - the last photograph that is not blank, or else the first one, is more than ``MAX_BLANK_GAPS`` gaps
      ago: only blank photographs have followed it.

    Each photograph without a date is a sequence of its own; these come last, in the given order.

    Args:
        photographs: The camera of each photograph, see ``camera_folder``; and its date, ISO 8601, or
            None. In any order.
        gap: Seconds, at least 0.
        blanks: Whether each photograph is blank, see ``is_blank``; empty if that is unknown.

    Returns:
        For each photograph, the number of its sequence within its camera, in the given order.

    Raises:
        ValueError: A date is invalid.

    Examples:
        >>> taken = ["2024-05-01T06:30:00", "2024-05-01T06:30:40", "2024-05-01T09:00:00", None]
        >>> sequence_numbers([("cam1", date) for date in taken])
        [1, 1, 2, 3]
    """
    cameras: dict[str, list[tuple[datetime, int]]] = {}
    for position, (camera, taken) in enumerate(photographs):
        moment = _UNDATED if taken is None else clock_time(taken)
        cameras.setdefault(camera, []).append((moment, position))
    numbers = [0] * sum(map(len, cameras.values()))
    pause = timedelta(seconds=gap)
    for taken_by_one in cameras.values():
        number, first, last, seen = 0, _UNDATED, _UNDATED, _UNDATED
        for moment, position in sorted(taken_by_one):
            is_new = _UNDATED in (moment, last) or (
                moment - last > pause
                or moment - first > MAX_GAPS * pause
                or moment - seen > MAX_BLANK_GAPS * pause
            )
            if is_new:
                number, first, seen = number + 1, moment, moment
            elif not (blanks and blanks[position]):
                seen = moment
            numbers[position], last = number, moment
    return numbers


def sequence_answer(records: Sequence[Record], rules: Rules) -> Answer | None:
    """The one answer for a sequence, by the rules above; None if none of its images counts.

    Args:
        records: The records of its images, from a run with all components, corrected or not.
        rules: The rules of the model package of that run.

    Returns:
        (label, score in [0, 1], source); the source is ``review`` if people decided.

    Raises:
        ValueError: A label is malformed.

    Examples:
        >>> fox = "u;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
        >>> frame = {"filepath": "a.jpg", "prediction": fox, "detections": [],
        ...          "classifications": {"classes": [fox], "scores": [0.9]}}
        >>> sequence_answer([frame, frame], Rules())
        ('u;mammalia;carnivora;canidae;vulpes;vulpes;red fox', 0.9, 'classifier')
    """
    answered = [
        record
        for record in records
        if record.get("prediction_source") == SOURCE
        or ("prediction" in record and record.get("classifications", {}).get("classes"))
    ]
    counted = [r for r in answered if r.get("prediction") != Classification.BLANK] or answered
    if not counted:
        return None
    reviewed = [r for r in counted if r.get("prediction_source") == SOURCE]
    others = [r for r in counted if r.get("prediction_source") != SOURCE]
    # One image that a person confirmed as blank does not make the unreviewed ones blank.
    if reviewed and (not others or counted[0].get("prediction") != Classification.BLANK):
        labels = Counter(record.get("prediction", "") for record in reviewed)
        return labels.most_common(1)[0][0], 1.0, SOURCE
    classes, scores = mean_classes([r["classifications"] for r in others if "classifications" in r])
    boxes = [boxes[0] for record in others if (boxes := record.get("detections"))]
    country, admin1_region = others[0].get("country"), others[0].get("admin1_region")
    rules = replace(
        rules, enable_geofence=rules.enable_geofence and rules.countries.covers(country)
    )
    answer = combine_predictions_for_single_item(
        classifications={"classes": classes, "scores": scores},
        detections=sorted(boxes, key=lambda box: -box["conf"])[:1],
        country=country,
        admin1_region=admin1_region,
        taxonomy_map=rules.taxonomy_map,
        geofence_map=rules.geofence_map,
        enable_geofence=rules.enable_geofence,
    )
    return rules.restrict(answer, classes, scores, country, admin1_region)


def mean_classes(classifications: Sequence[Classifications]) -> tuple[list[str], list[float]]:
    """The five classes with the greatest mean score, best first, and these scores.

    Args:
        classifications: The classes and scores of each image, at least one image. A class that an image
            does not list has the score 0 there.
    """
    sums: dict[str, float] = {}
    for one in classifications:
        for label, score in zip(one["classes"], one["scores"], strict=True):
            sums[label] = sums.get(label, 0.0) + float(score)
    best = sorted(sums, key=lambda label: -sums[label])[:TOP_CLASSES]
    return best, [sums[label] / len(classifications) for label in best]
