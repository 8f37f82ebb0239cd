"""Thresholds of species: answers with a lower score are replaced.

An answer below its threshold becomes "animal" if it is an animal, and "unknown" otherwise. It keeps its
score, and ``+below_threshold`` is added to its source. Answers from people do not change. ``speciesnet
evaluate`` finds thresholds that reach a precision.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from speciesnet.constants import BELOW_THRESHOLD, REVIEWED, Classification, Detection
from speciesnet.ensemble.geofence import Answer
from speciesnet.ensemble.geofence.species_list import lineage, nearest_names, plain_name
from speciesnet.ensemble.taxonomy import LABEL_PARTS, category_of, split_label
from speciesnet.errors import InputError
from speciesnet.files.csv_rows import read_table
from speciesnet.files.input_notes import counted, plural
from speciesnet.records import Box, Record

COLUMNS: tuple[str, ...] = (
    "label",
    "species",
    "threshold",
    "precision",
    "precision_from",
    "labelled",
    "kept",
)
_NAMED = 5  # species listed in a message


@dataclass
class Thresholds:
    """The minimum score of each species.

    Attributes:
        path: The file, for messages.
        by_name: From Latin names, common names or labels, in lower case, to scores in [0, 1].
        below: The number of replaced answers by label, which ``apply`` counts.
        used: The names that match an answer.

    Examples:
        >>> fox = "0;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
        >>> rules = Thresholds("t.csv", {"vulpes vulpes": 0.8})
        >>> record = {"filepath": "a.jpg", "prediction": fox, "prediction_score": 0.7,
        ...           "prediction_source": "classifier"}
        >>> rules.apply(record)["prediction_source"]
        'classifier+below_threshold'
    """

    path: str
    by_name: Mapping[str, float]
    below: Counter[str] = field(default_factory=Counter)
    used: set[str] = field(default_factory=set)

    @property
    def as_setting(self) -> dict[str, float]:
        """The thresholds in the settings of a run, by name."""
        return dict(sorted(self.by_name.items()))

    def enforce(self, answer: Answer) -> Answer:
        """An answer (label, score, source), or what replaces it if it is below its threshold."""
        label, score, source = answer
        names = [name for name in _names_of(label) if name in self.by_name]
        self.used.update(names[:1])
        if not names or score >= self.by_name[names[0]] or source == REVIEWED:
            return answer
        is_animal = category_of(label) == Detection.ANIMAL
        new = Classification.ANIMAL if is_animal else Classification.UNKNOWN
        return (label if label == new else new.value), score, f"{source}{BELOW_THRESHOLD}"

    def apply(self, record: Record) -> Record:
        """A record in which answers below their thresholds are replaced."""
        changed = record.copy()
        if (label := record.get("prediction")) is not None:
            score, source = (
                float(record.get("prediction_score", 0.0)),
                record.get("prediction_source"),
            )
            new, _, new_source = self.enforce((label, score, source or ""))
            changed["prediction"] = new
            if new_source:
                changed["prediction_source"] = new_source
            if new != label:
                self.below[label] += 1
        if boxes := record.get("detections"):
            changed["detections"] = [self._box(box) for box in boxes]
        return changed

    def _box(self, box: Box) -> Box:
        if (label := box.get("prediction")) is None:
            return box
        score, source = float(box.get("prediction_score", 0.0)), box.get("prediction_source", "")
        new, _, new_source = self.enforce((label, score, source))
        if new == label:
            return box
        return {**box, "prediction": new, "prediction_source": new_source}

    def check_names(self, labels: Iterable[str]) -> None:
        """Checks that each threshold belongs to a label of the model that a run uses.

        Args:
            labels: The labels of the model.

        Raises:
            InputError: A name is not that of a label.
        """
        known = {name: name for label in (*labels, *Classification) for name in _names_of(label)}
        for name in self.by_name.keys() - known.keys():
            near = " or ".join(one.capitalize() for one in nearest_names(name, known))
            guess = f" (perhaps {near})" if near else ""
            raise InputError(
                f"{self.path} has a threshold for {name!r}, which the model does not have{guess}. "
                "Correct the name, or remove its line."
            )

    def note_on_images(self, below: int) -> str:
        """A sentence on the images of a run whose answers were replaced.

        Args:
            below: Their number.
        """
        return (
            f"{counted(below, 'image has an answer', 'images have answers')} below "
            f"{plural(below, 'its threshold', 'their thresholds')} in {self.path}, and "
            f"{plural(below, 'counts', 'count')} as animal or unknown."
        )

    @property
    def notes(self) -> list[str]:
        """Sentences on replaced answers, and on names that match no answer."""
        notes: list[str] = []
        if total := self.below.total():
            species = ", ".join(
                f"{split_label(label).name} {count}"
                for label, count in self.below.most_common(_NAMED)
            )
            rest = " and others" if len(self.below) > _NAMED else ""
            notes.append(
                f"{counted(total, 'answer')} below {plural(total, 'its threshold', 'their thresholds')} "
                f"in {self.path} {plural(total, 'counts', 'count')} as animal or unknown: {species}"
                f"{rest}."
            )
        unused = [name for name in self.by_name if name not in self.used]
        if unused:
            shown = ", ".join(unused[:_NAMED])
            notes.append(
                f"{counted(len(unused), 'threshold')} of {self.path} "
                f"{plural(len(unused), 'matches', 'match')} no answer: {shown}."
            )
        return notes


def _names_of(label: str) -> list[str]:
    """The names by which a threshold may refer to a label; a subspecies follows its species."""
    latin = lineage(label)[:2]
    own = [name for name in latin if name == latin[0] or name.count(" ") == 1]
    return [*own, split_label(label).common_name.lower()]


def read_thresholds(path: str) -> Thresholds:
    """Reads a table of thresholds.

    Each row has a ``threshold``, and a ``label``, or the Latin or common name of a ``species``. Rows
    without a threshold are ignored, and so are other columns.

    Args:
        path: Path or URL of a CSV file.

    Raises:
        InputError: The file cannot be read, a column is missing, or a value is not in [0, 1].
    """
    columns, rows = read_table(path, "thresholds", COLUMNS)
    names = [name for name in ("label", "species") if name in columns]
    if "threshold" not in columns or not names:
        raise InputError(
            f"{path} does not contain thresholds. Pass a table with the columns species and threshold, "
            "as speciesnet evaluate writes it."
        )
    found: dict[str, float] = {}
    for place, cells in rows:
        name = next((cells[column] for column in names if column in cells), None)
        if name is None:
            raise InputError(f"{place} does not name a species. Add its name, or remove the line.")
        if "threshold" not in cells:
            continue
        try:
            value = float(cells["threshold"])
        except ValueError:
            value = -1.0
        if not 0 <= value <= 1:
            raise InputError(
                f"{place}: the threshold is {cells['threshold']!r}; it must be a number from 0 to 1."
            )
        found[_key(name)] = value
    if not found:
        raise InputError(
            f"{path} has no thresholds; add a number from 0 to 1 for at least one species."
        )
    return Thresholds(path, found)


def _key(name: str) -> str:
    if name.count(";") != LABEL_PARTS - 1:
        return plain_name(name)
    return _names_of(name)[0]
