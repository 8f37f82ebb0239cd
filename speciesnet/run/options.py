"""The keyword arguments of a run in the Python API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from speciesnet.constants import Classify, OutputFormat, RunMode
from speciesnet.images.instances import Given
from speciesnet.pipeline.progress import Profile


class RunOptions(Given, total=False):
    """Keyword arguments of every method of ``SpeciesNet``; exactly one of the first six is required.

    Attributes:
        instances_dict: ``{"instances": [{"filepath": ..., "country": ...}, ...]}``.
        instances_json: A JSON file with the same content.
        filepaths: Images.
        filepaths_txt: A file with one image per line.
        folders: Folders, searched for images at any depth.
        folders_txt: A file with one folder per line.
        country: ISO 3166-1 alpha-3 code of all images.
        admin1_region: State or province of all images; needs a country.
        run_mode: ``multi_thread`` (default), ``multi_process`` or ``single_thread``.
        batch_size: Images per batch (default 8).
        readers: Threads or processes that read images; None means one per core, at most 8, or more
            for images that come over a network.
        progress_bars: Whether to show progress bars (default False).
        profile: Collects the seconds spent in each stage.
        predictions_json: The file to write, on a disk or in a bucket, which a later run can continue; by
            default the predictions are returned as a dict.
        ignore_existing: Whether to start over, keeping an existing file as ``*.bak`` (default False).
        classify: ``best`` (default) answers for each image; ``all`` answers for each of its boxes as
            well.
        detection_threshold_for_classification: With ``all``, the lowest confidence of a box that gets an
            answer (default 0.1).
        max_classifications_per_image: With ``all``, the maximum number of boxes per image that get an
            answer, most confident first; None (default) means all.
        output_format: 4 (default), or 5, the format of the published program since 5.0.6, in which
            boxes have their own answers; it implies ``classify="all"``.
        max_classifications_per_detection: In format 5, the maximum number of classes per box (default
            2); None means all.
        country_from_coordinates: Whether to look up missing countries, and correct wrong ones (default
            False).
        exif_gps: Whether images without a position take it from their EXIF (default False).
        metadata: Whether records keep date, position and camera from EXIF (default False).
        videos: ``include`` (default) also examines films; ``skip`` leaves them out.
        video_fps: How many frames are examined per second of film (default 1).
        max_frames_per_video: The maximum number of these frames per film; None (default) means all.
        frames: The numbers of the frames to examine instead, from 0; None (default) uses
            ``video_fps``.
        thresholds: A CSV file with the minimum score of each species, as ``evaluate`` writes
            it; other answers become animal or unknown. None (default) keeps all answers.
    """

    run_mode: RunMode
    batch_size: int
    readers: int | None
    progress_bars: bool
    profile: Profile | None
    predictions_json: str | None
    ignore_existing: bool
    classify: Classify
    detection_threshold_for_classification: float
    max_classifications_per_image: int | None
    output_format: OutputFormat | None
    max_classifications_per_detection: int | None
    country_from_coordinates: bool
    exif_gps: bool
    metadata: bool
    videos: Literal["include", "skip"]
    video_fps: float
    max_frames_per_video: int | None
    frames: Sequence[int] | None
    thresholds: str | None
