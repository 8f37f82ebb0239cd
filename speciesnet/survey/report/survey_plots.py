"""The plots of a report: which ones a survey and a species have, and their files."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from speciesnet.files.paths import common_folder, path_parts
from speciesnet.survey.report import ecology_plots, plots
from speciesnet.survey.report.checks import LOW_SCORE
from speciesnet.survey.report.ecology import EcologyPage
from speciesnet.survey.report.folder import ReportFolder, unused_name
from speciesnet.survey.report.payload import categories_of_picture, category_of_picture
from speciesnet.survey.report.species import Species
from speciesnet.survey.survey import Picture, Survey


@dataclass(frozen=True)
class Plot:
    """A plot on a page.

    Attributes:
        title: What it shows.
        svg: The plot as embedded in the page.
        file: The SVG file for printing, relative to the page.
    """

    title: str
    svg: str
    file: str


def write_plot(folder: ReportFolder, title: str, svg: str, file_name: str) -> Plot:
    """Writes the file of a plot for printing.

    Args:
        folder: The folder of the report.
        title: What the plot shows.
        svg: The plot, from one of the functions of ``plots``.
        file_name: Words that its name is made from.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", file_name.lower()).strip("-")[:80]
    file = unused_name(f"plots/{slug}", ".svg", folder.files)
    folder.write(file, plots.for_print(svg).encode())
    return Plot(title, plots.for_page(svg, Path(file).stem, title), file)


class SurveyPlots:
    """Draws the plots of one survey and writes their files.

    Args:
        survey: The survey.
        folder: The folder of the report.
    """

    def __init__(self, survey: Survey, folder: ReportFolder) -> None:
        self._survey = survey
        self._folder = folder

    def of_survey(self, species: Sequence[Species]) -> Iterator[Plot]:
        """Yields the plots of the overview."""
        pictures = self._survey.pictures
        animals = [p for p in pictures if "animal" in categories_of_picture(p)]
        counts = [(one.name, one.count) for one in species if one.is_species]
        scores = [p.score for p in pictures if p.answer is not None and p.correction is None]
        if counts:
            yield self._plot("Images by species", plots.species_bars(counts), "species by images")
        yield from self._over_time(animals, pictures, "Animals", "Images")
        if points := self._points():
            yield self._plot(
                "Camera locations", plots.position_map(points), "where the cameras are"
            )
        if scores:
            svg = plots.score_histogram(scores, LOW_SCORE)
            yield self._plot("Scores of the answers", svg, "how sure the answers are")

    def of_ecology(self, page: EcologyPage) -> dict[str, list[Plot]]:
        """The plots on the page for ecologists that have something to show."""
        found: dict[str, list[Plot]] = {"rates": [], "activity": [], "accumulation": []}

        def add(name: str, title: str, svg: str) -> None:
            found[name].append(self._plot(title, svg, title))

        if points := page.points:
            add("rates", "Detection rates", ecology_plots.rates(points))
        if page.activity:
            add("activity", "Activity by time of day", ecology_plots.activity(page.activity))
        for unit, curve in {"cameras": page.curve, "camera days": page.days}.items():
            if len(curve) > 1 and curve[-1].species:
                svg = ecology_plots.accumulation(curve, unit)
                add("accumulation", f"Species by the number of {unit}", svg)
        return found

    def of_species(self, one: Species) -> Iterator[Plot]:
        """Yields the plots for a species' page."""
        name = one.name.capitalize()
        return self._over_time(one.pictures, one.pictures, name, name)

    def _over_time(
        self, active: Sequence[Picture], pictures: Sequence[Picture], subject: str, name: str
    ) -> Iterator[Plot]:
        """Yields plots of the hours at which animals come, and of the days on which images were taken."""
        # A visit counts once, however many images the camera takes of it.
        starts: dict[int, str] = {}
        for picture in active:
            if picture.taken:
                earliest = starts.get(picture.sequence, picture.taken)
                starts[picture.sequence] = min(earliest, picture.taken)
        hours = [int(taken[11:13]) for taken in starts.values()]
        if hours:
            svg = plots.hours_of_day(hours)
            yield self._plot(f"{subject} by hour of day", svg, f"{subject} by the hour")
        if days := _days(pictures):
            title = f"{name} over time"
            yield self._plot(title, plots.timeline(days), title)

    def _plot(self, title: str, svg: str, file_name: str) -> Plot:
        return write_plot(self._folder, title, svg, file_name)

    def _points(self) -> list[tuple[float, float, int, str]]:
        """Returns the latitude, longitude, number of images and name of each camera position.

        The name is the folder that contains most of the images.
        """
        cameras: dict[tuple[float, float], Counter[str]] = defaultdict(Counter)
        for picture in self._survey.pictures:
            if picture.position is not None:
                cameras[picture.position][picture.camera] += 1
        shared = len(common_folder(picture.filepath for picture in self._survey.pictures))
        points = []
        for position, images in cameras.items():
            ((folder, _),) = images.most_common(1)
            points.append((*position, images.total(), "/".join(path_parts(folder)[shared:])))
        return points


def _days(pictures: Sequence[Picture]) -> list[tuple[date, str]]:
    """Returns the day and the category of each image with a date."""
    return [
        (date.fromisoformat(picture.taken[:10]), category_of_picture(picture))
        for picture in pictures
        if picture.taken
    ]
