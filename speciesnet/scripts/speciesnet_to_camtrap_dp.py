"""Converts predictions to a Camtrap DP data package: ``speciesnet camtrap-dp``."""

from __future__ import annotations

import sys

from speciesnet.errors import InputError
from speciesnet.export import camtrap_dp
from speciesnet.files.input_notes import counted
from speciesnet.files.moved_photographs import Photographs
from speciesnet.scripts import console, flags
from speciesnet.scripts.inputs import chosen_predictions, date_rules
from speciesnet.scripts.outputs import sent_folder
from speciesnet.survey.corrections import find_corrections

TITLE = flags.text("title", "Project title.")
CONTRIBUTOR = flags.several(
    "contributor",
    "Your name, or that of your organization; repeat the flag for more contributors. After semicolons, "
    "a role (contact, principalInvestigator, rightsHolder, publisher or contributor), an email address "
    'or a URL: "Jane Doe; contact; jane@example.org".',
)
LICENSE_DATA = flags.text(
    "license_data",
    "License for the tables: an identifier or a URL. GBIF accepts CC0-1.0, CC-BY-4.0 and CC-BY-NC-4.0.",
)
LICENSE_MEDIA = flags.text(
    "license_media", "License for the photographs; required with --license_data."
)
SAMPLING_DESIGN = flags.Flag(
    "sampling_design", "opportunistic", "simpleRandom, systematicRandom, targeted and so on."
)
CAPTURE_METHOD = flags.Flag(
    "capture_method", "activityDetection", "activityDetection or timeLapse."
)

USAGE = """\
Converts a predictions file to a Camtrap DP data package.

  speciesnet camtrap-dp PREDICTIONS.json FOLDER --title "Lions of Laikipia" \\
      --contributor "Jane Doe" --timezone Africa/Nairobi
"""


def main(values: flags.Values, source: str, folder: str) -> None:
    """Checks the flags and writes the package."""
    for name, given in ((TITLE.name, values[TITLE]), (CONTRIBUTOR.name, values[CONTRIBUTOR])):
        if not given:
            raise InputError(f"Camtrap DP requires a {name}; add --{name}.")
    for flag, allowed in (
        (SAMPLING_DESIGN, camtrap_dp.SAMPLING_DESIGNS),
        (CAPTURE_METHOD, camtrap_dp.CAPTURE_METHODS),
    ):
        if values[flag] not in allowed:
            *others, last = allowed
            raise InputError(
                f"--{flag.name} must be {', '.join(others)} or {last}, not {values[flag]}."
            )
    corrections, deployments = values[flags.CORRECTIONS], values[flags.DEPLOYMENTS]
    camtrap_dp.check_outputs(folder, source, deployments)
    dates = date_rules(values, deployments)
    with (
        chosen_predictions(source, values) as predictions,
        sent_folder(folder, last=camtrap_dp.DESCRIPTOR) as out,
    ):
        found_corrections = find_corrections(predictions, corrections)
        dates.add_note(found_corrections.note, is_logged=True)
        found = camtrap_dp.write_camtrap_dp(
            predictions,
            out,
            camtrap_dp.Project(
                values[TITLE] or "",
                values[CONTRIBUTOR],
                values[SAMPLING_DESIGN],
                values[CAPTURE_METHOD],
                values[LICENSE_DATA],
                values[LICENSE_MEDIA],
            ),
            photographs=Photographs(values[flags.IMAGE_ROOT]),
            deployments_csv=deployments,
            timezone_name=values[flags.TIMEZONE],
            sequence_gap=values[flags.SEQUENCE_GAP],
            corrections=found_corrections,
            dates=dates,
            smooth_boxes=values[flags.SMOOTH_BOXES],
        )
    sys.stdout.write(
        f"{counted(found.media, 'photograph')} in {counted(found.events, 'event')} of "
        f"{counted(found.deployments, 'deployment')}: {folder}\n"
    )
    sys.stdout.write("".join(f"{note}\n" for note in found.notes))


COMMAND = console.Command(
    main,
    USAGE,
    (
        *(TITLE, CONTRIBUTOR, flags.TIMEZONE, flags.DEPLOYMENTS),
        *(flags.SEQUENCE_GAP, flags.SMOOTH_BOXES, flags.IMAGE_ROOT),
    ),
    topics={
        "project": (
            "study design and licenses",
            (SAMPLING_DESIGN, CAPTURE_METHOD, LICENSE_DATA, LICENSE_MEDIA),
        ),
        **flags.ANSWERS,
        **flags.DATES,
    },
    files=2,
    missing="Pass a file and a folder, such as predictions.json my_survey.",
)

if __name__ == "__main__":
    console.start(COMMAND)
