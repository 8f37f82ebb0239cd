"""What a run prints at the end."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from speciesnet.ensemble.taxonomy import species_name
from speciesnet.files.input_notes import counted

if TYPE_CHECKING:
    from speciesnet.files.packages.info import ModelInfo
    from speciesnet.pipeline.progress import Profile
    from speciesnet.predictions.tally import Tally

TOP_ANSWERS = 10


def print_summary(
    tally: Tally,
    earlier: int,
    seconds: float,
    path: str,
    notes: Sequence[str] = (),
    lasting: int | None = None,
) -> None:
    """Prints the number of images, the most frequent answers, and the speed.

    Args:
        tally: The counts over all records.
        earlier: How many of the records an earlier run wrote.
        seconds: The time taken by the other records.
        path: The predictions file or folder.
        notes: Other sentences that the user should read about the results.
        lasting: How many images fail again if the run is repeated; None if that is unknown.
    """
    done = tally.images - earlier
    lines = [f"{images_and_failures(tally)}."]
    for label, count in tally.answers.most_common(TOP_ANSWERS):
        lines.append(f"{count:>8}  {species_name(label)}")
    if len(tally.answers) > TOP_ANSWERS:
        rest = tally.answers.total() - sum(n for _, n in tally.answers.most_common(TOP_ANSWERS))
        others = counted(len(tally.answers) - TOP_ANSWERS, "other class", "other classes")
        lines.append(f"{rest:>8}  in {others}")
    if lasting is None and tally.failed:
        lines.append("The log gives the reasons. Fix them and run the same command again.")
    elif tally.failed and not lasting:
        lines.append("Run the same command again to retry the failed images.")
    elif lasting is not None and tally.failed > lasting:
        lines.append(
            f"Run the same command again to retry {tally.failed - lasting} of the failed images."
        )
    lines += notes
    speed = f" ({done} in {seconds:.0f} s, {done / seconds:.2f} images/s)" if done else ""
    lines.append(f"Predictions: {path}{speed}")
    sys.stdout.write("\n".join(lines) + "\n")


def target_notes(target_species_txt: str | None, model_info: ModelInfo) -> list[str]:
    """A sentence on target labels that the model does not know; none if it knows all of them."""
    if target_species_txt is None:
        return []
    from speciesnet.classifier import note_on_targets

    note = note_on_targets(target_species_txt, model_info.read_lines("classifier_labels"))
    return [note] if note else []


def images_and_failures(tally: Tally) -> str:
    """The number of images and of failures, such as "4 images and 2 films, 1 of them failed"."""
    images = counted(tally.images - tally.films, "image")
    films = counted(tally.films, "film")
    if tally.films:
        images = films if tally.films == tally.images else f"{images} and {films}"
    of_them = "" if tally.images == 1 else "of them "
    return f"{images}, {tally.failed} {of_them}failed"


def print_profile(profile: Profile, seconds: float) -> None:
    """Prints the seconds spent in each stage, after those of the whole run."""
    lines = [f"Of {seconds:.1f} s (stages that run in parallel are counted separately):"]
    for stage, spent in profile.seconds.items():
        lines.append(f"{spent:>10.1f} s  {stage}")
    sys.stdout.write("\n".join(lines) + "\n")
