"""Notes on the images of a run, for the log and the summary."""

from __future__ import annotations

from collections.abc import Sequence

from absl import logging

from speciesnet.constants import Flaw
from speciesnet.files.input_notes import Examples, plural
from speciesnet.pipeline.photo import Photo
from speciesnet.records import Instance


def flawed_images() -> dict[Flaw, Examples]:
    """Empty collections for images that were decoded although they have flaws."""
    return {
        "cut off": Examples(
            "image file is cut off; its answer comes from the part that can be read",
            "image files are cut off; their answers come from the parts that can be read",
            ". Copy them from the card again, if it still has them",
        ),
        "clipped": Examples(
            "image has more than 8 bits and becomes white or black",
            "images have more than 8 bits and become white or black",
            ". Scale their pixels to the range 0 to 255 and run them again",
        ),
    }


def noted(sentence: str) -> str:
    """Logs a note on a run, and returns it for the summary."""
    logging.warning("%s", sentence)
    return sentence


class Findings:
    """The images of a run that need the user's attention.

    Attributes:
        notes: Sentences for the summary; they are also in the log.
        lasting: The number of images that fail again whenever the same command is repeated.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.lasting = 0
        self._flawed = flawed_images()
        self._damaged = Examples(
            "image is damaged or not an image",
            "images are damaged or not images",
            ". Replace or remove such files; reading them again does not help",
        )
        self._damaged_films = Examples(
            "film is damaged or not a film",
            "films are damaged or not films",
            ". Replace or remove such files; reading them again does not help",
        )
        self._partial_films = Examples(
            "film has frames that cannot be decoded; its answer comes from the others",
            "films have frames that cannot be decoded; their answers come from the others",
        )
        self._doubtful_zones = Examples(
            "film may have its date in UTC instead of the camera's time",
            "films may have their dates in UTC instead of the camera's time",
            ". Compare one with the time in its picture; --clock_corrections of the exports shifts them",
        )
        self._unclassified = Examples(
            "image fails, because none of its boxes was classified",
            "images fail, because none of their boxes was classified",
            ". Classify them with --classifier_only --output_format 4, or add --output_format 5 here",
        )
        self._unfinished = Examples(
            "image fails, because an earlier step has no result for it",
            "images fail, because an earlier step has no result for them",
            ". Run that step again",
        )

        self._elsewhere = Examples(
            "image has coordinates outside its country",
            "images have coordinates outside their country",
            ". Correct the country; --country_from_coordinates, with --exif_gps for positions in "
            "photographs, does this for all",
        )

    def add(
        self,
        photo: Photo,
        *,
        lacks_classes: bool = False,
        is_past: bool = False,
        keeps_date: bool = False,
    ) -> None:
        """Notes an image that has passed the last stage.

        Args:
            photo: The image.
            lacks_classes: Whether it fails because none of its boxes was classified.
            is_past: Whether all of its results come from earlier runs.
            keeps_date: Whether its record keeps its date.
        """
        lacks_result = is_past and None in (photo.detections, photo.classifications)
        is_film = photo.frame is not None
        if photo.error is not None:
            kind = "film" if is_film else "image"
            logging.warning("Cannot read %s %s: %s.", kind, photo.filepath, photo.error)
        for applies, found in (
            (photo.is_damaged and not is_film, self._damaged),
            (photo.is_damaged and is_film, self._damaged_films),
            (photo.frame is not None and photo.frame.film.failed > 0, self._partial_films),
            (keeps_date and _is_doubtful(photo), self._doubtful_zones),
            (lacks_classes, self._unclassified),
            (lacks_result and not lacks_classes, self._unfinished),
        ):
            if applies:
                found.add(photo.filepath)
        if photo.flaw:
            self.add_flawed(photo.filepath, photo.flaw)
        self.lasting += photo.is_damaged or lacks_classes or lacks_result

    def add_flawed(self, filepath: str, flaw: Flaw) -> None:
        """Notes an image that was decoded, in this run or an earlier one, although it has a flaw."""
        self._flawed[flaw].add(filepath)

    def add_place(self, instance: Instance, found: str | None) -> None:
        """Notes an image that is clearly in a different country, ``found``, than its own, if any."""
        if found:
            self._elsewhere.add(f"{instance.filepath} (in {found}, not in {instance.country})")

    def add_undetected(self, paths: Sequence[str], whole: Sequence[str], source: str) -> None:
        """Notes images that have no boxes for a classifier of crops.

        Args:
            paths: Images that fail because the file has no record of them.
            whole: Images that are classified as a whole because the detector failed on them.
            source: The file.
        """
        self.lasting += len(paths)
        fail = plural(len(paths), "image fails", "images fail")
        are = plural(len(whole), "image is", "images are")
        them = plural(len(whole), "it", "them")
        for images, sentence in (
            (
                paths,
                f"{fail}, because the classifier needs detections and {source} has none "
                f"for {plural(len(paths), 'it', 'them')}",
            ),
            (
                whole,
                f"{are} classified as a whole, because the detector failed on {them} in {source}",
            ),
        ):
            if images:
                self.notes.append(noted(f"{len(images)} {sentence}, such as {images[0]}."))

    def finish(self) -> None:
        """Adds the notes on everything that was counted."""
        films = (self._damaged_films, self._partial_films, self._doubtful_zones)
        counted = (
            self._unclassified,
            self._unfinished,
            self._damaged,
            *films,
            *self._flawed.values(),
            self._elsewhere,
        )
        self.notes += [noted(str(found)) for found in counted if found.count]


def _is_doubtful(photo: Photo) -> bool:
    return photo.metadata is not None and photo.metadata.zone_is_doubtful is True
