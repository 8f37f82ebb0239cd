"""The flags that commands share, each defined once, and what a command does with its flags.

A ``Flag`` is only a description. When a command is started, it registers its flags with absl in its
own ``FlagValues``, so several commands can be imported and run in one process.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from absl import flags as absl_flags

from speciesnet.constants import DEFAULT_EVENT_GAP, DEFAULT_SEQUENCE_GAP, Classify, available_cpus
from speciesnet.errors import InputError
from speciesnet.files.packages.info import DEFAULT_MODEL

if TYPE_CHECKING:
    from speciesnet.engines.base import Precision
    from speciesnet.ensemble.thresholds import Thresholds
    from speciesnet.images.films import Sampling
    from speciesnet.records.boxes import BoxSelection

T = TypeVar("T")
Integer = TypeVar("Integer", int, int | None)
Number = TypeVar("Number", float, float | None)
Choice = TypeVar("Choice", bound=str)


@dataclass(frozen=True, eq=False)
class Flag(Generic[T]):
    """One flag of a command line.

    Attributes:
        name: The name, without dashes.
        default: The value if the flag is not given.
        help: What it does, in full sentences.
        define: The function of absl that registers it.
        options: Other arguments of that function: bounds, or the allowed values.
        alias: A second name.
        several: Whether it takes several values with spaces between, as shells expand ``*``.
    """

    name: str
    default: T
    help: str
    define: Callable[..., object] = absl_flags.DEFINE_string
    options: Mapping[str, object] = field(default_factory=dict)
    alias: str | None = None
    several: bool = False

    def but(self, **changes: object) -> Flag[T]:
        """The same flag with different attributes, for a command in which it differs slightly."""
        return replace(self, **changes)

    @property
    def is_switch(self) -> bool:
        """Whether it takes no value."""
        return self.define is absl_flags.DEFINE_bool

    @property
    def syntax(self) -> str:
        """The flag as shown on help screens, such as ``--threads N``."""
        if self.is_switch:
            return f"--[no]{self.name}" if self.default else f"--{self.name}"
        if choices := self.options.get("enum_values"):
            return f"--{self.name} {'|'.join(choices)}"  # type: ignore[arg-type]  # of ``choice``
        kinds = {absl_flags.DEFINE_integer: "N", absl_flags.DEFINE_float: "X"}
        return f"--{self.name} {kinds.get(self.define, 'TEXT')}"

    @property
    def description(self) -> str:
        """The help with the default."""
        has_default = self.default and self.default is not True
        return f"{self.help} Default: {self.default}." if has_default else self.help

    def register(self, values: absl_flags.FlagValues) -> None:
        """Defines the flag in absl's registry of one command."""
        arguments = {"help": self.help, "flag_values": values, **self.options}
        self.define(self.name, self.default, **arguments)
        if self.define is absl_flags.DEFINE_float:  # no bound excludes NaN
            absl_flags.register_validator(
                self.name,
                lambda value: value is None or math.isfinite(value),
                "it must be a number",
                flag_values=values,
            )
        if self.alias:
            absl_flags.DEFINE_alias(self.alias, self.name, flag_values=values)


class Values:
    """The values of a command's flags: ``values[FLAG]``.

    Args:
        registered: The flags, parsed.
    """

    def __init__(self, registered: absl_flags.FlagValues) -> None:
        self._registered = registered

    def __getitem__(self, flag: Flag[T]) -> T:
        return getattr(self._registered, flag.name)

    def is_given(self, flag: Flag[Any]) -> bool:
        """Whether the command line contains the flag."""
        return bool(self._registered[flag.name].present)


def text(name: str, meaning: str) -> Flag[str | None]:
    """A flag whose value is a string, None by default; for a different default, use ``Flag``."""
    return Flag(name, None, meaning)


def integer(
    name: str, default: Integer, meaning: str, *, at_least: int = 1, at_most: int | None = None
) -> Flag[Integer]:
    """A flag whose value is a whole number."""
    bounds = {"lower_bound": at_least, "upper_bound": at_most}
    return Flag(name, default, meaning, absl_flags.DEFINE_integer, bounds)


def number(
    name: str, default: Number, meaning: str, *, at_least: float = 0, at_most: float | None = None
) -> Flag[Number]:
    """A flag whose value is a finite number."""
    bounds = {"lower_bound": at_least, "upper_bound": at_most}
    return Flag(name, default, meaning, absl_flags.DEFINE_float, bounds)


def switch(name: str, meaning: str, *, default: bool = False) -> Flag[bool]:
    """A flag that is on (``--NAME``) or off (``--noNAME``)."""
    return Flag(name, default, meaning, absl_flags.DEFINE_bool)


def choice(name: str, choices: Sequence[Choice], meaning: str) -> Flag[Choice]:
    """A flag with a fixed set of values, by default the first one."""
    return Flag(name, choices[0], meaning, absl_flags.DEFINE_enum, {"enum_values": choices})


def names(name: str, meaning: str) -> Flag[list[str]]:
    """A flag whose value is a comma-separated list, empty by default."""
    return Flag(name, [], meaning, absl_flags.DEFINE_list)


def several(name: str, meaning: str) -> Flag[list[str]]:
    """A flag that may be given several times, empty by default."""
    return Flag(name, [], meaning, absl_flags.DEFINE_multi_string)


# The program.

LOG_LEVEL = choice(
    "log_level", ["debug", "info", "warning", "error"], "Lowest severity of messages to print."
).but(default="info")
VERSION = switch("version", "Print the version and exit.")
LOG = (LOG_LEVEL, VERSION)

# Runs: on one machine, on a cluster, in a server.

FORCE_MODEL_DOWNLOAD = switch("force_model_download", "Download the model package again.")
MODEL = Flag(
    "model",
    DEFAULT_MODEL,
    "Model package: kaggle:OWNER/MODEL/FRAMEWORK/VARIATION[/N], hf:OWNER/REPO, a folder, or demo "
    "(included; recognizes rendered scenes only).",
)
TARGET_SPECIES_TXT = text(
    "target_species_txt", "Text file of labels whose raw scores (logits) are added to every record."
)
COUNTRY = text("country", "Country of all images, ISO 3166-1 alpha-3, such as KEN.")
ADMIN1_REGION = text(
    "admin1_region", "State of all images; for the USA, its two-letter code, such as CA."
)
COUNTRY_FROM_COORDINATES = switch(
    "country_from_coordinates", "Look up missing countries, and correct wrong ones, by coordinates."
)
EXIF_GPS = switch("exif_gps", "Take missing coordinates from the EXIF data of the photographs.")
GEOFENCE = switch(
    "geofence",
    "Roll species that do not live in the country up to a taxon that does.",
    default=True,
)
SPECIES_LIST = text(
    "species_list",
    "Text or CSV file (path or URL) with the Latin names of the taxa that can occur at the site; other "
    "answers are rolled up to a group that contains a listed taxon.",
)
SPECIES_LIST_FILL = switch(
    "species_list_fill",
    "With --species_list: a group with a single listed taxon in it becomes that taxon.",
)
SITE = (GEOFENCE, SPECIES_LIST, SPECIES_LIST_FILL)
PLACE = (COUNTRY, ADMIN1_REGION, COUNTRY_FROM_COORDINATES, EXIF_GPS, *SITE)
CLASSIFY: Flag[Classify] = choice(
    "classify",
    ["best", "all"],
    "best: one answer per image, from its most confident box. all: an answer for every box as well.",
)
CLASSIFIED_FROM = number(
    "detection_threshold_for_classification",
    None,
    "With --classify all: lowest confidence of a box that gets an answer; by default 0.1.",
    at_most=1,
)
CLASSIFIED_BOXES = integer(
    "max_classifications_per_image",
    None,
    "With --classify all: maximum number of boxes per image that get an answer, most confident "
    "first; by default, or if negative, all.",
    at_least=-1,
)
OUTPUT_FORMAT = choice(
    "output_format",
    ["4", "5"],
    "4: with an answer for every image. 5: the format of SpeciesNet 5.0.6, with answers for boxes only; "
    "it implies --classify all.",
)
MAX_CLASSES = integer(
    "max_classifications_per_detection",
    None,
    "With --output_format 5: maximum number of classes written per box; all if negative; by default 2. "
    "Answers for sequences need 5.",
    at_least=-1,
)
BOXES = (CLASSIFY, CLASSIFIED_FROM, CLASSIFIED_BOXES)
VIDEOS = choice(
    "videos", ["include", "skip"], "include: examine films as well. skip: leave them out."
)
VIDEO_FPS = number("video_fps", 1.0, "Frames to examine per second of film.", at_most=240)
MAX_FRAMES = integer(
    "max_frames_per_video", None, "Examine at most the first N of these frames per film."
)
FRAMES = text(
    "frames",
    "Examine these frames of each film instead: comma-separated numbers from 0, such as 0,15,30.",
)
FILMS = (VIDEOS, VIDEO_FPS, MAX_FRAMES, FRAMES)
METADATA = switch("metadata", "Add date, position and camera from the EXIF data to every record.")

ENGINE = Flag(
    "engine",
    "auto",
    "Engine that runs the networks: auto (the fastest on this machine), openvino, torch or tensorflow; "
    "or two, separated by a comma, for the detector and the classifier.",
)
PRECISION: Flag[Precision | Literal["auto"]] = choice(
    "precision",
    ["auto", "fp32", "bf16", "fp16", "int8"],
    "Numeric precision of the networks. auto: the fastest that the hardware supports, but fp32 "
    "for images whose answers it could change; int8 after a long run or speciesnet prepare. int8: "
    "the fastest on CPUs, but answers differ occasionally; requires the extra int8.",
)
DEVICE = text("device", "cpu, cuda, cuda:1 or mps; by default the fastest device.")
THREADS = integer("threads", None, "CPU threads per network; by default all cores are shared.")
BATCH_SIZE = integer("batch_size", 8, "Images per batch.")
READERS = integer(
    "readers",
    None,
    "Threads or processes that read images; by default one per core, at most 8, or 32 for URLs.",
)
SPEED = (ENGINE, PRECISION, DEVICE, THREADS, BATCH_SIZE, READERS)
PROGRESS_BARS = switch("progress_bars", "Show progress bars.", default=True)

# Planning a run.

DRY_RUN = switch("dry_run", "Only count the images and estimate hours and cost; write nothing.")
IMAGES_PER_SECOND = number(
    "images_per_second",
    None,
    "For --dry_run: speed of one machine; by default, the command times some of the images on "
    "this machine.",
    at_least=1e-6,
    at_most=1e9,
)
MACHINES = integer("machines", 1, "For --dry_run: number of machines that share the work.")
PRICE_PER_HOUR = number(
    "price_per_hour", None, "For --dry_run: price of one machine, in any currency.", at_most=1e9
)
PLANNING = (DRY_RUN, IMAGES_PER_SECOND, MACHINES, PRICE_PER_HOUR)

# Predictions and their photographs.

IMAGE_ROOT = text(
    "image_root",
    "Folder that the photographs have been moved to; they are found by the ends of their paths.",
)
CORRECTIONS = Flag(
    "corrections",
    "auto",
    "Corrections written by review (path or URL). auto: the file next to the predictions, if any; none: "
    "ignore corrections.",
)
SEQUENCE_GAP = number(
    "sequence_gap",
    DEFAULT_SEQUENCE_GAP,
    "Longest pause within a sequence, in seconds.",
    at_most=1e9,
)
EVENT_GAP = number(
    "event_gap",
    DEFAULT_EVENT_GAP,
    "For --rows event: shortest pause between two events of a label at a camera, in minutes.",
    at_most=1e9,
)
SMOOTH_BOXES = switch(
    "smooth_boxes",
    "With --classify all: doubtful boxes follow the reliable ones in their sequence.",
    default=True,
)
DEPLOYMENTS = text(
    "deployments",
    "CSV file (path or URL) with deploymentID, latitude, longitude and more. By default, every camera "
    "(folder) is a deployment, at the position of its photographs.",
)
TIMEZONE = text("timezone", "Time zone of the cameras' clocks, such as Africa/Nairobi or +03:00.")
CLOCK_CORRECTIONS = text(
    "clock_corrections",
    "CSV file (path or URL) for cameras whose clocks were wrong, with the columns folder and offset "
    "(+1:00:00, -3 days), or folder, cameraTime and actualTime.",
)
DATE_FROM_NAME = text(
    "date_from_name",
    "Pattern of dates in file names, such as %Y%m%d_%H%M%S, for photographs without a readable date.",
)
THRESHOLDS = text(
    "thresholds",
    "CSV file (path or URL) with the minimum score of each species, as evaluate writes it. "
    "Answers with lower scores become animal or unknown.",
)
DATES = {"dates": ("missing dates and wrong clocks", (CLOCK_CORRECTIONS, DATE_FROM_NAME))}
ANSWERS = {"answers": ("corrections and thresholds", (CORRECTIONS, THRESHOLDS))}
SURVEY_MODEL = text(
    "model", "Model that made the predictions; by default, the one recorded with them."
)
BLUR_HUMANS = switch("blur_humans", "Blur people in all pictures.")
THUMBNAIL_THREADS = integer(
    "threads", None, "Thumbnails to make in parallel; by default one per core, at most 8."
)
PICTURE_THREADS = THUMBNAIL_THREADS.but(
    help="Photographs to read in parallel; by default one per core, at most 8."
)
PAGES = (IMAGE_ROOT, BLUR_HUMANS, SEQUENCE_GAP, CORRECTIONS, SURVEY_MODEL, THUMBNAIL_THREADS)

OUT = text("out", "Folder to write to.")
MIN_SCORE = number("min_score", 0.0, "Ignore answers with a lower score.", at_most=1)


def selected_boxes(values: Values) -> BoxSelection | None:
    """The boxes that get their own answers; raises ``InputError``."""
    from speciesnet.records import boxes

    return boxes.selected_boxes(values[CLASSIFY], values[CLASSIFIED_FROM], values[CLASSIFIED_BOXES])


def thresholds_of(values: Values) -> Thresholds | None:
    """The thresholds of species for a run, or None; raises ``InputError``."""
    from speciesnet.ensemble.thresholds import read_thresholds

    path = values[THRESHOLDS]
    return None if path is None else read_thresholds(path)


def thumbnail_threads(values: Values) -> int:
    """The number of thumbnails to make in parallel."""
    return values[THUMBNAIL_THREADS] or min(available_cpus(), 8)


def sampling_of(values: Values) -> Sampling | None:
    """The frames of films to examine, or None if films are skipped; raises ``InputError``."""
    from speciesnet.images.films import Sampling, parse_frames

    if values[VIDEOS] == "skip":
        return None
    text = values[FRAMES]
    if text is not None and values.is_given(VIDEO_FPS):
        raise InputError(
            "--frames and --video_fps cannot be combined, because both choose frames; use only one."
        )
    frames = () if text is None else parse_frames(text)
    return Sampling(values[VIDEO_FPS], values[MAX_FRAMES], frames)
