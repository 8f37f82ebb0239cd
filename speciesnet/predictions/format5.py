"""Format 5: the records that the published program has written since version 5.0.6.

Such a record has no answer for the photograph. Each classified box has the classifier's best classes
and its own answer; for models that classify whole photographs, both are in a box around the
photograph, which comes first. Records of this program have these answers as well, so writing format 5
is a conversion of the same run, and reading it is the inverse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

from speciesnet.constants import (
    FORMAT_VERSION,
    OUTPUT_FORMATS,
    TOP_CLASSES,
    Classification,
    Classify,
    Failure,
    OutputFormat,
)
from speciesnet.errors import InputError, OutputError
from speciesnet.files.input_notes import counted, plural
from speciesnet.records import (
    ANSWER_OF_A_BOX,
    PLACE,
    WHOLE_IMAGE,
    Box,
    Box5,
    Classifications,
    FilmFacts,
    Processed,
    Record,
    Record5,
    bare_box,
    top_classes,
)
from speciesnet.records.boxes import BoxSelection
from speciesnet.records.failures import is_failed

DEFAULT_CLASSES = 2  # per box in the file
DECIMALS = 4  # of every number in the file

_RAW, _PROCESSED = "raw_classifications", "processed_classification"
_ANSWER_KEYS = (
    ("class", "prediction"),
    ("score", "prediction_score"),
    ("source", "prediction_source"),
)
_EXTRAS = ("model_version", "metadata", "orientation", *FilmFacts.__annotations__)

_T = TypeVar("_T")


@dataclass(frozen=True)
class Form:
    """How a run writes format 5.

    Attributes:
        classes: The maximum number of classes written for a box; None means all.
        boxes: Which boxes the run classifies.
        whole_image: Whether it classifies whole photographs instead.
    """

    classes: int | None = DEFAULT_CLASSES
    boxes: BoxSelection = field(default_factory=BoxSelection)
    whole_image: bool = False


def checked_format(
    output_format: int | None, classify: Classify | None, *, has_classes: bool = False
) -> tuple[OutputFormat, Classify]:
    """The format of the output, and which boxes get answers.

    Args:
        output_format: 4 or 5; None means 4.
        classify: "best" or "all", or None if it is not given.
        has_classes: Whether ``max_classifications_per_detection`` is given.

    Raises:
        InputError: The arguments are invalid or contradict each other.
    """
    output_format = 4 if output_format is None else output_format
    if output_format not in OUTPUT_FORMATS:
        raise InputError(f"output_format is {output_format!r}; it must be 4 or 5.")
    if output_format == 4:
        if has_classes:
            raise InputError(
                "max_classifications_per_detection is a setting of format 5; add output_format 5, or "
                "leave it out."
            )
        return 4, classify or "best"
    if classify == "best":
        raise InputError(
            "classify best gives answers for images only, which output_format 5 cannot contain; leave it "
            "out, or use output_format 4."
        )
    return 5, "all"


def checked_classes(count: int | None) -> int | None:
    """The maximum number of classes written for a box; None means all.

    Args:
        count: The number; None or a negative number means all.

    Raises:
        InputError: It is 0.
    """
    if count == 0:
        raise InputError(
            "max_classifications_per_detection is 0; it must be at least 1, or negative for all."
        )
    return None if count is None or count < 0 else count


def whole_image_detection() -> Box5:
    """The box around a photograph that is classified as a whole.

    Examples:
        >>> whole_image_detection()["bbox"]
        [0.0, 0.0, 1.0, 1.0]
    """
    return {
        "category": WHOLE_IMAGE,
        "label": "whole_image_classification",
        "conf": 1.0,
        "bbox": [0.0, 0.0, 1.0, 1.0],
    }


def to_format5(record: Record, form: Form | None = None) -> Record5:
    """Converts a record to format 5.

    Args:
        record: A record of a run that classified its boxes according to ``form``.
        form: How the run writes format 5.

    Returns:
        The record without answers for the image. Its numbers are not rounded. An image without a box
        to classify does not count as failed; an image whose boxes are unknown does.

    Examples:
        >>> box = {"category": "1", "label": "animal", "conf": 0.9, "bbox": [0.1, 0.1, 0.5, 0.5],
        ...        "classifications": {"classes": ["x;fox"], "scores": [0.8]}, "prediction": "x;fox",
        ...        "prediction_score": 0.8, "prediction_source": "classifier"}
        >>> to_format5({"filepath": "a.jpg", "detections": [box]})["detections"][0][
        ...     "processed_classification"]
        {'class': 'x;fox', 'score': 0.8, 'source': 'classifier'}
    """
    form = form or Form()
    converted: Record5 = {"filepath": record["filepath"]}
    if failures := _failures(record, form):
        converted["failures"] = failures
    _copy(record, converted, PLACE)
    boxes = _boxes(record, form, failures)
    if boxes is not None:
        converted["detections"] = boxes
    _copy(record, converted, _EXTRAS)
    return converted


def _copy(source: Mapping[str, object], target: Mapping[str, object], keys: Sequence[str]) -> None:
    cast("dict[str, object]", target).update({key: source[key] for key in keys if key in source})


def _failures(record: Record, form: Form) -> list[str]:
    failures = list(record.get("failures") or ())
    if form.whole_image:
        return failures
    boxes, classifier = record.get("detections"), Failure.CLASSIFIER.value
    if boxes is None:
        is_lost = "classifications" in record and classifier not in failures
        return [classifier, *failures] if is_lost else failures
    if not form.boxes.positions([box["conf"] for box in boxes]):
        return [name for name in failures if name != classifier]
    return failures


def _boxes(record: Record, form: Form, failures: Sequence[str]) -> list[Box5] | None:
    boxes = record.get("detections")
    if form.whole_image:
        found = [_bare(box) for box in boxes or ()]
        if "classifications" in record:
            return [_with_answer(whole_image_detection(), record, form), *found]
        return None if boxes is None else found
    is_classifier_alone = "model_version" not in record and Failure.CLASSIFIER.value in failures
    if boxes is None or is_classifier_alone:
        return None
    return [_with_answer(_bare(box), box, form) for box in boxes]


def _bare(box: Box) -> Box5:
    return cast("Box5", bare_box(box))


def _with_answer(box: Box5, answered: Box | Record, form: Form) -> Box5:
    """A box with the classes and the answer for one of our boxes or for a whole image."""
    if (classifications := answered.get("classifications")) is None:
        return box
    box["raw_classifications"] = top_classes(classifications, form.classes)
    if "prediction" in answered:
        answer = cast("Mapping[str, object]", answered)
        box["processed_classification"] = cast(
            "Processed", {theirs: answer[ours] for theirs, ours in _ANSWER_KEYS}
        )
    return box


def limit_float_precision(value: _T, num_decimals: int) -> _T:
    """A JSON value with all numbers rounded, except whole numbers."""
    found: object = value
    if isinstance(value, float):
        found = round(value, num_decimals)
    elif isinstance(value, dict):
        found = {key: limit_float_precision(item, num_decimals) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        found = [limit_float_precision(item, num_decimals) for item in value]
    return cast("_T", found)


def rounded(record: _T) -> _T:
    """A record with all numbers rounded as in files of format 5.

    Examples:
        >>> rounded({"conf": 0.123456, "bbox": [0.00004, 1]})
        {'conf': 0.1235, 'bbox': [0.0, 1]}
    """
    return limit_float_precision(record, DECIMALS)


def written(record: Record, form: Form | None) -> Mapping[str, object]:
    """A record as written to its file; in format 4 if ``form`` is None."""
    return record if form is None else rounded(to_format5(record, form))


def other_format(name: str, found: OutputFormat, wanted: OutputFormat) -> OutputError:
    """The error for a file whose format differs from that of the run."""
    return OutputError(
        f"{name} is in format {found}, and this run writes format {wanted}. Add --output_format {found} "
        "to continue it, pass a different file to --predictions_json, or add --ignore_existing to start "
        "over."
    )


def is_format5(record: Mapping[str, object]) -> bool:
    """Whether a record can only be of format 5; records of single steps can look the same in both."""
    boxes = record.get("detections")
    if not isinstance(boxes, list):
        return False
    if any(isinstance(box, dict) and (_RAW in box or _PROCESSED in box) for box in boxes):
        return True
    has_answer = "prediction" in record or not isinstance(record.get("failures", []), list)
    return "model_version" in record and not has_answer and not is_failed(cast("Record", record))


def from_format5(record: Mapping[str, object]) -> Record:
    """Converts a record of format 5 to one of this program.

    The image gets the classes and the answer of its most confident box. If that box was not
    classified, none was: then the image is blank, and its score is 1 minus the confidence of its best
    box.

    Args:
        record: The record as read from its file.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: The record is malformed.

    Examples:
        >>> record = from_format5({"filepath": "a.jpg", "detections": [], "model_version": "4.0.3a"})
        >>> record["prediction_score"], record["prediction_source"]
        (1.0, 'detector')
    """
    boxes = record.get("detections")
    if not isinstance(boxes, list):
        return cast("Record", dict(record))
    converted = [_box_of_ours(box) for box in boxes]
    best = max(converted, key=_rank) if converted else None
    found: dict[str, object] = {}
    if best is not None:
        found = {key: value for key, value in best.items() if key in ANSWER_OF_A_BOX}
    real = [box for box in converted if box["category"] != WHOLE_IMAGE]
    has_ensemble = "model_version" in record
    if len(real) == len(converted) and "classifications" in found:
        # The box itself keeps all classes.
        found["classifications"] = top_classes(
            cast("Classifications", found["classifications"]), TOP_CLASSES
        )
    if has_ensemble and not found and not is_failed(cast("Record", record)):
        found = _blank(0.0 if best is None else best["conf"])
    has_boxes = has_ensemble or len(real) > 0 or not converted
    values = {**record, "detections": real if has_boxes else None, **found}
    order = (
        "filepath",
        "failures",
        *PLACE,
        "classifications",
        "detections",
        *ANSWER_OF_A_BOX[1:],
        *values,
    )
    return cast("Record", {k: values[k] for k in order if values.get(k) is not None})


def as_ours(record: Record) -> Record:
    """Converts a record of either format to ours; raises the same errors as ``from_format5``."""
    return from_format5(record) if is_format5(record) else record


def _rank(box: Box) -> tuple[bool, float]:
    return box["category"] == WHOLE_IMAGE, box["conf"]


def _blank(confidence: float) -> dict[str, object]:
    return {
        "prediction": Classification.BLANK.value,
        "prediction_score": round(1 - confidence, DECIMALS),
        "prediction_source": "detector",
    }


def _box_of_ours(box: Mapping[str, object]) -> Box:
    found = {key: value for key, value in box.items() if key not in (_RAW, _PROCESSED)}
    found.setdefault("category", "")
    if _RAW in box:
        classifications = cast("Classifications", box[_RAW])
        found["classifications"] = top_classes(classifications, None)
    if _PROCESSED in box:
        answer = cast("Mapping[str, object]", box[_PROCESSED])
        found.update({ours: answer[theirs] for theirs, ours in _ANSWER_KEYS})
    return cast("Box", found)


def make_predictions_dict(
    predictions: Sequence[Mapping[str, object]],
) -> dict[str, dict[str, str] | Sequence[Mapping[str, object]]]:
    """The content of a file of format 5.

    Args:
        predictions: Its records.

    Examples:
        >>> make_predictions_dict([{"filepath": "fox.jpg"}])
        {'info': {'format_version': '20261015'}, 'predictions': [{'filepath': 'fox.jpg'}]}
    """
    return {"info": {"format_version": FORMAT_VERSION}, "predictions": predictions}


def build_classifier_result(
    prediction: Mapping[str, object],
    detections: Sequence[Mapping[str, object]] | None,
    classified_indices: Sequence[int],
    whole_image: bool,
) -> Record5:
    """Adds the classifier's results for an image's boxes to these boxes.

    Args:
        prediction: What ``SpeciesNetClassifier.predict`` returned for a list of inputs.
        detections: The boxes of the image; None if they are unknown.
        classified_indices: The positions of the boxes that the inputs were cut from, in order.
        whole_image: Whether the only input was the whole image.

    Returns:
        The record of the classifier in format 5.
    """
    filepath = cast("str", prediction["filepath"])
    if prediction.get("failures") or (detections is None and not whole_image):
        return {"filepath": filepath, "failures": [Failure.CLASSIFIER.value]}
    answers = cast("Sequence[Classifications]", prediction["classifications_list"])
    if whole_image:
        return {
            "filepath": filepath,
            "detections": [{**whole_image_detection(), "raw_classifications": answers[0]}],
        }
    boxes = [cast("Box5", dict(box)) for box in detections or ()]
    for position, answer in zip(classified_indices, answers, strict=True):
        boxes[position]["raw_classifications"] = answer
    return {"filepath": filepath, "detections": boxes}


@dataclass
class Missing:
    """Counts of what a file of format 5 lacks, made while it is read.

    Attributes:
        images: Records.
        blank: Images without a classified box, which are read as blank.
        boxes: Classified boxes.
        short: Classified boxes with fewer classes than the decision table uses.
        most: The largest number of classes in these boxes.
    """

    images: int = 0
    blank: int = 0
    boxes: int = 0
    short: int = 0
    most: int = 0

    def count(self, record: Mapping[str, object], ours: Record) -> None:
        """Adds a record, both as read from its file and as converted."""
        self.images += 1
        if ours is record:
            return
        if "prediction" in ours and "classifications" not in ours and "prediction" not in record:
            self.blank += 1
        for box in cast("Sequence[Mapping[str, object]]", record.get("detections") or ()):
            if _RAW in box:
                count = len(cast("Classifications", box[_RAW])["classes"])
                self.boxes += 1
                if count < TOP_CLASSES:
                    self.short, self.most = self.short + 1, max(self.most, count)

    def note(self, name: str, *, counts_blank: bool = True) -> str | None:
        """A sentence on what the file lacks; None if it lacks nothing.

        Args:
            name: The file.
            counts_blank: Whether images without a classified box matter.
        """
        parts = []
        if self.blank and counts_blank:
            parts.append(
                f"{self.blank} of {counted(self.images, 'photograph')} "
                f"{plural(self.blank, 'has', 'have')} no classified box and "
                f"{plural(self.blank, 'is', 'are')} read as blank"
            )
        if self.short:
            parts.append(
                f"{self.short} of {counted(self.boxes, 'classified box', 'classified boxes')} "
                f"{plural(self.short, 'has', 'have')} at most {counted(self.most, 'class', 'classes')}, "
                f"but answers for sequences and roll-ups need {TOP_CLASSES} (make the file with "
                f"--max_classifications_per_detection {TOP_CLASSES})"
            )
        return f"{name} is in format 5: {'; '.join(parts)}." if parts else None
