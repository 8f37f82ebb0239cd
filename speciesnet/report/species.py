"""The images of a survey by answer, and how often reviewers agreed with the predictions."""

from __future__ import annotations

import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from speciesnet.constants import Classification
from speciesnet.report.folder import unused_name
from speciesnet.report.payload import capitalized, scientific_name_of
from speciesnet.report.thumbnails import Preview
from speciesnet.survey.counts import largest_counts
from speciesnet.survey.survey import Picture, Survey
from speciesnet.taxonomy import split_label

_NOT_SPECIES = {Classification.BLANK, Classification.VEHICLE, Classification.UNKNOWN}


@dataclass(frozen=True)
class Species:
    """One answer and its images.

    Attributes:
        label: The label of the answer.
        url: Its page.
        pictures: The images with this answer, or with a box that has it.
        cover: The thumbnail that represents it, or "".
        most: The largest number of individuals in one image.
        individuals: The sum over all sequences of the largest number in one image.
    """

    label: str
    url: str
    pictures: list[Picture]
    cover: str
    most: int = 0
    individuals: int = 0

    @property
    def is_species(self) -> bool:
        """Whether the answer is a taxon: not blank, a vehicle or unknown."""
        return self.label not in _NOT_SPECIES

    @property
    def name(self) -> str:
        """The common name, otherwise the scientific one."""
        return _name_of(self.label)

    @property
    def scientific(self) -> str:
        """The scientific name, or "" if it is the same as the name."""
        return scientific_name_of(split_label(self.label))

    @property
    def taxa(self) -> str:
        """The names of the order and the family, if known."""
        parts = split_label(self.label)
        return capitalized(parts.order, parts.family)

    @property
    def count(self) -> int:
        """The number of images."""
        return len(self.pictures)

    @property
    def sequences(self) -> int:
        """The number of sequences with such an image."""
        return len({picture.sequence for picture in self.pictures})

    @property
    def cameras(self) -> int:
        """The number of folders with such an image."""
        return len({picture.camera for picture in self.pictures})

    @property
    def mean(self) -> float | None:
        """The mean score of the unreviewed images; None if all were reviewed.

        For an image with a different answer, the score is that of the best box with this answer.
        """
        scores = [
            picture.score
            if picture.answer == self.label
            else max(
                (box.score for box in picture.shown_boxes if box.label == self.label), default=0.0
            )
            for picture in self.pictures
            if picture.correction is None
        ]
        return statistics.fmean(scores) if scores else None


def group_by_species(survey: Survey, previews: Sequence[Preview]) -> list[Species]:
    """Groups images by answer, the most frequent answer first.

    An image whose boxes have their own answers is in the group of each answer.

    Args:
        survey: The survey.
        previews: The preview of each of its images.
    """
    by_label: dict[str, list[int]] = defaultdict(list)
    for position, picture in enumerate(survey.pictures):
        for label in picture.answers:
            by_label[label].append(position)
    most, individuals = _largest_numbers(survey)
    found: list[Species] = []
    urls: set[str] = set()
    for label, positions in sorted(by_label.items(), key=lambda item: -len(item[1])):
        slug = re.sub(r"[^a-z0-9]+", "-", _name_of(label).lower()).strip("-")[:60] or "answer"
        url = unused_name(f"species-{slug}", ".html", urls)
        urls.add(url)
        pictures = [survey.pictures[position] for position in positions]
        covers = [(picture, previews[position].thumbnail)
                  for picture, position in zip(pictures, positions, strict=True)]  # fmt: skip
        cover = _best_cover(label, covers)
        found.append(Species(label, url, pictures, cover, most[label], individuals[label]))
    return found


def _largest_numbers(survey: Survey) -> tuple[Counter[str], Counter[str]]:
    """Returns, by label, the largest number in one image, and the sum over sequences of such numbers."""
    most: Counter[str] = Counter()
    individuals: Counter[str] = Counter()
    for sequence in survey.sequences:
        counts = [survey.pictures[position].counts for position in sequence.pictures]
        for one in counts:
            most |= Counter(one)
        individuals.update(largest_counts(counts))
    return most, individuals


def _name_of(label: str) -> str:
    return split_label(label).name or label


def _best_cover(label: str, candidates: Sequence[tuple[Picture, str]]) -> str:
    """Returns the thumbnail with the most confident box; for blanks the first one."""

    def confidence(candidate: tuple[Picture, str]) -> float:
        if label == Classification.BLANK:
            return 0.0
        boxes = candidate[0].shown_boxes
        return max((box.conf for box in boxes if box.label in (None, label)), default=0.0)

    shown = [candidate for candidate in candidates if candidate[1]]
    return max(shown, key=confidence)[1] if shown else ""


def agreement_with_reviewers(pictures: Sequence[Picture]) -> list[dict[str, object]]:
    """Counts how often reviewers confirmed each predicted label, most reviewed labels first."""
    corrections: dict[str, list[str]] = defaultdict(list)
    for picture in pictures:
        if picture.correction is not None and picture.correction.label and picture.label:
            corrections[picture.label].append(picture.correction.label)
    return [
        {
            "name": split_label(label).name,
            "reviewed": len(found),
            "confirmed": found.count(label),
            "corrected_to": ", ".join(
                f"{split_label(other).name} {count:,}"
                for other, count in Counter(found).most_common(6)
                if other != label
            ),
        }
        for label, found in sorted(corrections.items(), key=lambda item: -len(item[1]))
    ]
