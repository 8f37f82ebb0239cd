"""Converts a predictions file to a Camtrap DP data package.

python -m speciesnet.scripts.speciesnet_to_camtrap_dp PREDICTIONS.json FOLDER --title "My survey"
"""

from __future__ import annotations

import sys

from absl import flags

from speciesnet.errors import InputError
from speciesnet.scripts import console
from speciesnet.scripts.predictions_files import (
    CORRECTIONS,
    IMAGE_ROOT,
    SEQUENCE_GAP,
    local_predictions,
)
from speciesnet.scripts.remote_files import sent_folder

_TITLE = flags.DEFINE_string("title", None, "Of the project.")
_CONTRIBUTOR = flags.DEFINE_string("contributor", None, "You, or your organisation.")
_TIMEZONE = flags.DEFINE_string(
    "timezone", None, "Of the cameras' clocks, such as Africa/Nairobi or +03:00."
)
_DEPLOYMENTS = flags.DEFINE_string(
    "deployments",
    None,
    "Path or URL of a CSV file with deploymentID, latitude, longitude and more; without it each folder "
    "is a deployment, where its photographs say.",
)
_SAMPLING_DESIGN = flags.DEFINE_string(
    "sampling_design", "opportunistic", "simpleRandom, systematicRandom, targeted and so on."
)
_CAPTURE_METHOD = flags.DEFINE_string(
    "capture_method", "activityDetection", "activityDetection or timeLapse."
)

USAGE = """\
Converts a predictions file to a Camtrap DP data package.

  python -m speciesnet.scripts.speciesnet_to_camtrap_dp PREDICTIONS.json FOLDER \\
      --title "Lions of Laikipia" --contributor "Jane Doe" --timezone Africa/Nairobi

"""
FLAGS = [
    "title", "contributor", "timezone", "deployments", "sampling_design", "capture_method",
    "sequence_gap", "image_root", "corrections",
]  # fmt: skip


def main(*files: str) -> None:
    """Checks the flags, and writes the package."""
    from speciesnet.export import camtrap_dp
    from speciesnet.export.files import check_not_same
    from speciesnet.survey.corrections import find_corrections
    from speciesnet.survey.photographs import Photographs

    if len(files) != 2:
        raise InputError("Give a file and a folder, such as predictions.json my_survey.")
    for name in ("title", "contributor"):
        if not flags.FLAGS[name].value:
            raise InputError(f"Camtrap DP needs a {name}; add --{name}.")
    for name, allowed in (
        ("sampling_design", camtrap_dp.SAMPLING_DESIGNS),
        ("capture_method", camtrap_dp.CAPTURE_METHODS),
    ):
        if flags.FLAGS[name].value not in allowed:
            raise InputError(
                f"--{name} {flags.FLAGS[name].value} is none; give {', '.join(allowed)}."
            )
    source, folder = files
    for name in camtrap_dp.FILES:
        place = f"{folder.rstrip('/')}/{name}"  # also of a URL
        check_not_same(source, place)
        if _DEPLOYMENTS.value is not None:
            check_not_same(_DEPLOYMENTS.value, place, "table of deployments")
    with (
        local_predictions(source) as predictions,
        sent_folder(folder, last=camtrap_dp.DESCRIPTOR) as out,
    ):
        found = camtrap_dp.write_camtrap_dp(
            predictions,
            out,
            camtrap_dp.Project(
                _TITLE.value or "",
                _CONTRIBUTOR.value or "",
                _SAMPLING_DESIGN.value,
                _CAPTURE_METHOD.value,
            ),
            photographs=Photographs(IMAGE_ROOT.value),
            deployments_csv=_DEPLOYMENTS.value,
            timezone_name=_TIMEZONE.value,
            sequence_gap=SEQUENCE_GAP.value,
            corrections=find_corrections(predictions, CORRECTIONS.value),
        )
    sys.stdout.write(
        f"{found.media} photographs in {found.events} events of {found.deployments} deployments: "
        f"{folder}\n"
    )


def cli() -> None:
    """The console command."""
    sys.exit(
        console.run(main, sys.argv, lambda topic: USAGE + console.describe_flags(FLAGS), files=2)
    )


if __name__ == "__main__":
    cli()
