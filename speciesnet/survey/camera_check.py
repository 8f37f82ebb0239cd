"""Cameras that failed: all rules together, for each deployment of a survey."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from statistics import median

from speciesnet.files.extensions import is_film_name
from speciesnet.survey.camera_findings import (
    Finding,
    Kind,
    blanks_by_day,
    clock_findings,
    flood_findings,
    silence_findings,
    usual_blanks,
)
from speciesnet.survey.effort import CameraEffort, Deployed, by_deployment, effort_of, periods_of
from speciesnet.survey.reliable_dates import CameraDates, Taken, camera_dates
from speciesnet.survey.scene_reading import SceneReader, chosen_pictures
from speciesnet.survey.scenes import SceneChange, scene_changes


@dataclass
class Sightings:
    """A few facts about each photograph of a survey.

    Attributes:
        dates: The path and the date, ISO 8601 or None, of each photograph.
        blanks: The paths of blank photographs.
        people: The paths of photographs that show people; pages do not show them.
    """

    dates: list[tuple[str, str | None]] = field(default_factory=list)
    blanks: set[str] = field(default_factory=set)
    people: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class CheckedCamera:
    """A deployment of a camera with its findings.

    Attributes:
        effort: Its period, and the nights between start and end.
        worked: The same, without lost time; see ``camera_findings.LOST``.
        findings: What failed, in chronological order.
        photographs: The number of photographs of each day, with reliable dates.
        blanks: The number of blank photographs of each day.
        unreliable: The number of photographs of the camera with other dates.
        undated: The number of photographs of the camera without a date.
        looked_at: The number of photographs whose scenes were compared.
    """

    effort: CameraEffort
    worked: CameraEffort
    findings: tuple[Finding, ...]
    photographs: Counter[date]
    blanks: Counter[date]
    unreliable: int = 0
    undated: int = 0
    looked_at: int = 0

    @property
    def name(self) -> str:
        """The name of its deployment, otherwise its folder."""
        return self.effort.deployment or self.effort.camera


@dataclass(frozen=True)
class _Part:
    """A deployment, its camera and its photographs with reliable dates."""

    effort: CameraEffort
    camera: CameraDates
    taken: Sequence[Taken]


class CameraCheck:
    """Applies all rules to the cameras of a survey.

    Args:
        seen: The photographs of the survey.
        deployments: See ``effort``.
        without_photographs: See ``effort``.

    Attributes:
        pictures: The number of photographs that a ``SceneReader`` would read.

    Raises:
        ValueError: A date is invalid.
    """

    def __init__(
        self,
        seen: Sightings,
        deployments: Mapping[str, Sequence[Deployed]] | None = None,
        without_photographs: Iterable[Deployed] = (),
    ) -> None:
        self._seen = seen
        periods = periods_of(deployments or {})
        cameras = {one.camera: one for one in camera_dates(seen.dates, periods)}
        efforts = effort_of(cameras.values(), deployments, without_photographs=without_photographs)
        self._parts = list(_parts(efforts, cameras, deployments))
        usual = [usual_blanks(c.reliable, seen.blanks) for c in cameras.values() if c.reliable]
        self._usual = median(usual) if usual else 0.0
        self.pictures = sum(len(chosen_pictures(part.taken)) for part in self._parts)

    def checked(self, reader: SceneReader | None = None) -> Iterator[CheckedCamera]:
        """Yields each camera, or each of its deployments, with its effort and what failed.

        Args:
            reader: Reads photographs to compare their scenes; None leaves that out.

        Raises:
            CredentialsError: The credentials for the bucket of a photograph have expired or are refused.
        """
        for part in self._parts:
            yield _checked(part, self._seen, self._usual, reader)


def _parts(
    efforts: Iterable[CameraEffort],
    cameras: Mapping[str, CameraDates],
    deployments: Mapping[str, Sequence[Deployed]] | None,
) -> Iterator[_Part]:
    known: set[str] = set()
    by_camera: dict[str, dict[str, list[Taken]]] = {}
    for effort in efforts:
        camera = cameras.get(effort.camera, CameraDates(effort.camera, (), (), 0, ()))
        taken: Sequence[Taken] = camera.reliable
        if deployments is not None:
            if camera.camera not in by_camera:
                by_camera[camera.camera] = by_deployment(camera, deployments)
            taken = by_camera[camera.camera].get(effort.deployment or "", ())
        if camera.camera in known:  # its clock has been reported
            camera = replace(camera, jumps=())
        known.add(camera.camera)
        yield _Part(effort, camera, taken)


def _checked(
    part: _Part, seen: Sightings, usual: float, reader: SceneReader | None
) -> CheckedCamera:
    effort, camera, taken = part.effort, part.camera, part.taken
    findings = [replace(one, deployment=effort.deployment) for one in clock_findings(camera)]
    findings += flood_findings(effort, taken, seen.blanks, usual)
    if not camera.unreliable and not (camera.undated and not taken):
        # Photographs whose dates are unknown may have been taken during a silence.
        findings += silence_findings(effort, taken)
    looked_at = 0
    if reader is not None:
        reader.films += sum(is_film_name(one.filepath) for one in taken)
        looks = reader.looks(chosen_pictures(taken))
        looked_at = len(looks)
        findings += _of_scenes(scene_changes(looks), effort, taken, seen.people)
    findings.sort(key=lambda one: one.start or datetime.min)
    gaps = [gap for one in findings if (gap := one.gap) is not None]
    return CheckedCamera(
        effort,
        effort.without(gaps),
        tuple(findings),
        Counter(one.moment.date() for one in taken),
        blanks_by_day(taken, seen.blanks),
        len(camera.unreliable),
        camera.undated,
        looked_at,
    )


_NOTES: Mapping[Kind, str] = {
    "covered": "Nothing can be seen in {n} of the later pictures: the lens may be covered, "
    "fogged or dirty.",
    "view": "The view changed permanently: the camera may have been moved or knocked over, or something "
    "blocks a part of the view.",
    "flash": "The pictures taken at night are black ({n} were read).",
}


def _of_scenes(
    changes: Iterable[SceneChange],
    effort: CameraEffort,
    taken: Sequence[Taken],
    people: Collection[str],
) -> Iterator[Finding]:
    """The changes in a scene, as findings that show no pictures of people."""
    for one in changes:
        start = one.first.moment
        later = [other for other in taken if other.moment >= start]
        end = effort.end or one.end
        note = _NOTES[one.kind].format(n=one.pictures)
        if one.kind == "flash" and one.last is None:
            note = f"{note} They have been black from the start."
        before = one.before.filepath if one.before else ""
        yield Finding(
            effort.camera, effort.deployment, one.kind, start, max(start, end), len(later), note,
            "" if one.after.filepath in people else one.after.filepath,
            "" if before in people else before,
        )  # fmt: skip
