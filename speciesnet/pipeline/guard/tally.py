"""Counts of how the images and films of a run were processed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass

from typing_extensions import Self

from speciesnet.files.input_notes import counted, plural


@dataclass
class _Counts:
    """Numbers that can be added."""

    def __add__(self, other: Self) -> Self:
        return type(self)(*map(sum, zip(astuple(self), astuple(other), strict=True)))


@dataclass
class Tally(_Counts):
    """Counts of how the images of one pair of fast networks were processed.

    Attributes:
        images: All images.
        detected_again: Images that went through both networks in float32.
        classified_again: Images that went through the classifier in float32.
        audited: Randomly chosen images that did so.
        differed: Audited images whose answers changed.
    """

    images: int = 0
    detected_again: int = 0
    classified_again: int = 0
    audited: int = 0
    differed: int = 0

    @property
    def kept(self) -> int:
        """The images that went through the fast networks only."""
        return self.images - self.detected_again - self.classified_again


@dataclass
class FilmTally(_Counts):
    """Counts of how the films of one pair of fast networks were processed.

    Attributes:
        films: All films.
        again: Films that went through both networks in float32.
        audited: Randomly chosen films that did so.
        differed: Audited films whose answers changed.
        frames: The frames of films that went through the fast networks.
        frames_again: Those that then went through both networks in float32.
    """

    films: int = 0
    again: int = 0
    audited: int = 0
    differed: int = 0
    frames: int = 0
    frames_again: int = 0

    def add(self, frames: int, *, is_again: bool) -> None:
        """Counts a film that went through the fast networks."""
        self.films += 1
        self.frames += frames
        if is_again:
            self.again += 1
            self.frames_again += frames

    def add_exact(self, films: int) -> None:
        """Counts films whose answers come from a trial."""
        self.films += films
        self.again += films


@dataclass(frozen=True)
class Decided:
    """How the images and films of a run, or of a part of it, were processed.

    Attributes:
        phases: The precisions of each pair of fast networks, and how its images and films were processed.
        in_float32: Images that went through the networks in float32 only.
        replaced: Finished images that a wider band made doubtful.
        films_in_float32: The same for films.
        films_replaced: The same for films.
    """

    phases: Mapping[tuple[str, ...], tuple[Tally, FilmTally]]
    in_float32: int = 0
    replaced: int = 0
    films_in_float32: int = 0
    films_replaced: int = 0

    def __add__(self, other: Decided) -> Decided:
        phases = dict(self.phases)
        for names, (images, films) in other.phases.items():
            own_images, own_films = phases.get(names, (Tally(), FilmTally()))
            phases[names] = own_images + images, own_films + films
        return Decided(
            phases,
            self.in_float32 + other.in_float32,
            self.replaced + other.replaced,
            self.films_in_float32 + other.films_in_float32,
            self.films_replaced + other.films_replaced,
        )

    @property
    def total(self) -> int:
        """The number of images and films."""
        both = sum(images.images + films.films for images, films in self.phases.values())
        return both + self.in_float32 + self.films_in_float32

    def summary(self) -> str:
        """Sentences on how many images and films were processed in each precision."""
        images = [(names, tally) for names, (tally, _) in self.phases.items()]
        films = [(names, tally) for names, (_, tally) in self.phases.items()]
        has_images = self.in_float32 or self.replaced or any(tally.images for _, tally in images)
        has_films = self.films_in_float32 or self.films_replaced or any(t.films for _, t in films)
        found = []
        if has_images or not has_films:
            found.append(image_sentences(images, self.in_float32, self.replaced))
        if has_films:
            found.append(film_sentences(films, self.films_in_float32, self.films_replaced))
        return " ".join(found)


def image_sentences(
    phases: Sequence[tuple[Iterable[str], Tally]], in_float32: int = 0, replaced: int = 0
) -> str:
    """Sentences on how many images of a run were processed in each precision.

    Args:
        phases: The precisions of each pair of fast networks, and how its images were processed.
        in_float32: Images that went through the networks in float32 only.
        replaced: Finished images that a wider band made doubtful.

    Examples:
        >>> found = image_sentences([(["bf16"], Tally(9, 2)), (["int8"], Tally(20, 1, 4))], in_float32=1)
        >>> found.split(", of which")[0]
        '7 of 30 images were processed in bf16, 15 in int8 and 8 in float32'
    """
    tallies = [tally for _, tally in phases]
    images = sum(tally.images for tally in tallies) + in_float32
    text = _shares("image", images, [(names, tally.kept) for names, tally in phases])
    classified_again = sum(tally.classified_again for tally in tallies)
    audits = _audits("image", tallies)
    return (
        f"{text}, of which {classified_again} needed only the classifier. {audits}"
        f"{_replaced('image', replaced)}"
    )


def film_sentences(
    phases: Sequence[tuple[Iterable[str], FilmTally]], in_float32: int = 0, replaced: int = 0
) -> str:
    """Sentences on how many films of a run were processed in each precision; see ``image_sentences``.

    Examples:
        >>> film_sentences([(["bf16"], FilmTally(9, 2, 1))])
        '7 of 9 films were processed in bf16 and 2 in float32. 1 film was audited; 0 differed.'
    """
    tallies = [tally for _, tally in phases]
    films = sum(tally.films for tally in tallies) + in_float32
    shares = [(names, tally.films - tally.again) for names, tally in phases]
    return (
        f"{_shares('film', films, shares)}. {_audits('film', tallies)}{_replaced('film', replaced)}"
    )


def _shares(noun: str, total: int, phases: Sequence[tuple[Iterable[str], int]]) -> str:
    """How many were processed in each precision; all others were processed in float32."""
    shares = [(" and ".join(dict.fromkeys(names)), kept) for names, kept in phases]
    shares.append(("float32", total - sum(count for _, count in shares)))
    (name, count), *others = shares
    first = f"{count} of {counted(total, noun)} {plural(count, 'was', 'were')} processed in {name}"
    *listed, last = [first, *(f"{count} in {name}" for name, count in others)]
    return f"{', '.join(listed)} and {last}" if listed else last


def _audits(noun: str, tallies: Sequence[Tally] | Sequence[FilmTally]) -> str:
    audited = sum(tally.audited for tally in tallies)
    differed = sum(tally.differed for tally in tallies)
    return (
        f"{counted(audited, noun)} {plural(audited, 'was', 'were')} audited; {differed} differed."
    )


def _replaced(noun: str, count: int) -> str:
    if not count:
        return ""
    return (
        f" The answers for {counted(count, noun)} were then replaced by those of float32, because the "
        "errors turned out to be larger than in the trial."
    )
