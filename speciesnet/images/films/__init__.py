"""Films: which frames are examined, and their pixels and times.

``sampling`` chooses frames by their times, ``packets`` determines which compressed frames must be decoded
for them, ``pixels`` converts them to RGB, and ``reading`` puts these together. ``metadata`` finds dates,
positions and cameras: in what FFmpeg reports, and in other blocks, which ``atoms`` collects and
``makers`` reads.
"""

from speciesnet.images.films.content import is_film
from speciesnet.images.films.reading import Film, Frame, open_film, read_film_metadata, read_frame
from speciesnet.images.films.sampling import Sampling, parse_frames

__all__ = [
    "Film",
    "Frame",
    "Sampling",
    "is_film",
    "open_film",
    "parse_frames",
    "read_film_metadata",
    "read_frame",
]
