"""Photographs with the program's answer and a person's label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from speciesnet.errors import InputError
from speciesnet.files.input_notes import Examples, counted, plural
from speciesnet.predictions.matching import match_names
from speciesnet.survey.corrections import Correction
from speciesnet.survey.evaluation.labels import Written, WrittenLabels
from speciesnet.survey.evaluation.taxa import KnownLabels, is_blank_label, is_undetermined, taxon_of
from speciesnet.survey.survey import Picture, Survey

_REPORTED = 5  # unknown labels listed in a message

Labels = tuple[tuple[str, int | None], ...]  # a photograph's labels, with numbers of individuals


class Pair(NamedTuple):
    """A photograph with its answer and its label.

    Attributes:
        position: Its position in ``Survey.pictures``.
        filepath: The path in the predictions.
        camera: Its camera, as ``PictureSequence.camera``.
        sequence: The number of its sequence in the survey.
        taken: The date by the camera's clock, ISO 8601, or None.
        predicted: The predicted label, or None for a failure.
        score: The score of the prediction, in [0, 1].
        truth: The label; if there are several, the one that agrees with the prediction, otherwise the
            first.
        counts: The number of individuals of each label that the program counted.
        labelled_counts: The number that a person counted, or None.
    """

    position: int
    filepath: str
    camera: str
    sequence: int
    taken: str | None
    predicted: str | None
    score: float
    truth: str
    counts: Mapping[str, int]
    labelled_counts: Mapping[str, int] | None

    @property
    def individuals(self) -> int:
        """How many individuals the program counts."""
        return sum(self.counts.values())

    @property
    def labelled_individuals(self) -> int | None:
        """How many a person counted, or None."""
        return None if self.labelled_counts is None else sum(self.labelled_counts.values())


@dataclass
class Pairs:
    """All photographs with a label, and what was left out.

    Attributes:
        pairs: The photographs, in the order of the predictions.
        unlabelled: The number of photographs of the survey without a label.
        notes: Sentences on photographs and labels that were left out, or need attention.
    """

    pairs: list[Pair]
    unlabelled: int = 0
    notes: list[str] = field(default_factory=list)


def pair_up(survey: Survey, written: WrittenLabels, *, skip_unknown: bool = False) -> Pairs:
    """Matches the photographs of a survey with their labels.

    Args:
        survey: The survey, without corrections.
        written: The labels.
        skip_unknown: Whether to leave out labels that the model does not have, and count them.

    Raises:
        InputError: No photograph has a label, a label is unknown, or a path is ambiguous.
    """
    notes = list(written.notes)
    labels = _known_labels(survey, written, notes, skip_unknown)
    files = _matched(survey, labels, written.source, notes)
    pairs: list[Pair] = []
    for position, picture in enumerate(survey.pictures):
        file = files.get(picture.filepath, "")
        if found := labels.get(file):
            correction = written.box_corrections.get(file)
            camera = survey.sequences[picture.sequence].camera
            pairs.append(_pair(position, picture, camera, found, correction))
    if not pairs:
        raise InputError(
            f"No photograph has a label in {written.source} that can be compared: all of them are "
            "empty, unidentified or skipped."
        )
    if all(pair.predicted is None for pair in pairs):
        raise InputError(
            f"{survey.name} has no answer for any photograph with a label. Pass the predictions of a "
            "run with all components."
        )
    unlabelled = len(survey.pictures) - len(pairs)
    if unlabelled:
        number = counted(len(survey.pictures), "photograph")
        notes.append(f"{unlabelled} of {number} {plural(unlabelled, 'has', 'have')} no label.")
    several = Examples(
        "photograph has several labels; the one that agrees with the answer counts",
        "photographs have several labels; for each, the one that agrees with the answer counts",
    )
    failed = Examples(
        "failed photograph does not count as right", "failed photographs do not count as right"
    )
    for pair in pairs:
        if len({label for label, _ in labels[files[pair.filepath]]}) > 1:
            several.add(pair.filepath)
        if pair.predicted is None:
            failed.add(pair.filepath)
    notes += filter(None, map(str, (several, failed)))
    return Pairs(pairs, unlabelled, notes)


def _known_labels(
    survey: Survey, written: WrittenLabels, notes: list[str], skip_unknown: bool
) -> dict[str, Labels]:
    """The labels of the model that people mean, by the path in the file of labels."""
    known = KnownLabels([*survey.labels, *(p.label for p in survey.pictures if p.label)])
    found: dict[str, Labels] = {}
    unknown: Counter[str] = Counter()
    places: dict[str, str] = {}
    undetermined = Examples(
        "photograph is labeled as unidentified and is left out",
        "photographs are labeled as unidentified and are left out",
    )
    for file, texts in written.by_file.items():
        counts: dict[str, int | None] = {}
        for one in texts:
            label = next(filter(None, map(known.find, one.names)), None)
            if label is None:
                unknown[one.names[0]] += 1
                places.setdefault(one.names[0], one.place)
            elif is_undetermined(label):
                undetermined.add(file)
            else:
                counts[label] = _added(counts.get(label), one)
        found[file] = tuple(counts.items())
    if unknown:
        faults = _unknown_labels(unknown, places, known)
        if not skip_unknown:
            raise InputError(
                f"The model does not know these labels: {faults}. Correct them, give the genus or "
                "the family instead, or leave them out with --skip_unknown_labels."
            )
        notes.append(
            f"{counted(unknown.total(), 'label')} that the model does not know "
            f"{plural(unknown.total(), 'is', 'are')} left out: {faults}. The model cannot be right "
            "about these photographs."
        )
    notes += filter(None, [str(undetermined)])
    return found


def _added(before: int | None, one: Written) -> int | None:
    """The individuals of a label after another line about it, such as one for young animals."""
    return before if one.count is None else (before or 0) + one.count


def _unknown_labels(
    unknown: Mapping[str, int], places: Mapping[str, str], known: KnownLabels
) -> str:
    faults: list[str] = []
    for name, count in Counter(unknown).most_common(_REPORTED):
        near = known.near(name)
        guess = f"; perhaps {' or '.join(near)}" if near else ""
        faults.append(f"{name!r} ({counted(count, 'time')}, first in {places[name]}{guess})")
    if more := len(unknown) - len(faults):
        faults.append(f"and {counted(more, 'more')}")
    return ", ".join(faults)


def _matched(
    survey: Survey, labels: Mapping[str, Labels], source: str, notes: list[str]
) -> dict[str, str]:
    """The paths of labels by those of the predictions."""
    known = dict.fromkeys(picture.filepath for picture in survey.pictures)
    found = {file: file for file in labels if file in known}
    others = [file for file in labels if file not in known]
    advice = "Write whole paths in the labels, or evaluate each folder separately"
    if others:
        matches = match_names(others, known, found.keys(), source, advice)
        found |= matches.paths
        if matches.moved:
            name, path = next(iter(matches.moved.items()))
            notes.append(
                f"{counted(len(matches.moved), 'label')} of {source} "
                f"{plural(len(matches.moved), 'names a photograph', 'name photographs')} in a different "
                f"folder, such as {name} for {path}. Check that these are the same."
            )
    if not found:
        raise InputError(
            f"No photograph in {source} is in {survey.name}. The "
            f"labels contain {next(iter(labels))}, and the predictions {next(iter(known))}. Pass the "
            "labels of this survey."
        )
    left_out = Examples(
        f"label of {source} has no photograph in the predictions",
        f"labels of {source} have no photographs in the predictions",
    )
    for file in labels:
        if file not in found:
            left_out.add(file)
    notes += filter(None, [str(left_out)])
    return {path: file for file, path in found.items()}


def _pair(
    position: int,
    picture: Picture,
    camera: str,
    labels: Labels,
    correction: Correction | None,
) -> Pair:
    predicted = None if picture.failures else picture.label
    return Pair(
        position=position,
        filepath=picture.filepath,
        camera=camera,
        sequence=picture.sequence,
        taken=picture.taken,
        predicted=predicted,
        score=0.0 if predicted is None else picture.score,
        truth=_truth(predicted, [label for label, _ in labels]),
        counts=picture.counts,
        labelled_counts=_labelled_counts(picture, labels, correction),
    )


def _truth(predicted: str | None, labels: Sequence[str]) -> str:
    """The label that agrees best with a prediction, otherwise the first."""
    answer = taxon_of(predicted)
    taxa = [(label, taxon_of(label)) for label in labels]
    for agrees in (
        lambda taxon: answer == taxon,
        lambda taxon: taxon.contains(answer),
        answer.contains,
    ):
        for label, taxon in taxa:
            if agrees(taxon):
                return label
    return labels[0]


def _labelled_counts(
    picture: Picture, labels: Labels, correction: Correction | None
) -> dict[str, int] | None:
    """The number of individuals of each label; None if that of one is unknown."""
    if correction is not None:
        return replace(picture, correction=correction).counts
    counts: dict[str, int] = {}
    for label, count in labels:
        if not is_blank_label(label):
            if count is None:
                return None
            counts[label] = count
    return counts
