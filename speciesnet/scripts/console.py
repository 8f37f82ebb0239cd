"""What all commands share: parsing, help, log, errors, interruption, closed pipes."""

from __future__ import annotations

import io
import logging as standard_logging
import os
import re
import select
import shutil
import signal
import sys
import textwrap
import threading
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypedDict

from absl import flags as absl_flags
from absl import logging

import speciesnet
from speciesnet.errors import InputError, SpeciesNetError
from speciesnet.scripts.flags import LOG, LOG_LEVEL, VERSION, Flag, Values

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143
EXIT_BROKEN_PIPE = 141

Flags = Sequence[Flag[Any]]
Topics = Mapping[str, tuple[str, Flags]]


class Files(TypedDict):
    """The arguments without flags that a command takes; see ``Command``."""

    files: int
    missing: str


ONE_PREDICTIONS_FILE: Files = {
    "files": 1,
    "missing": "Pass one predictions file, such as predictions.json.",
}


@dataclass(frozen=True)
class Command:
    """A command line.

    Attributes:
        main: Runs it; takes the values of the flags and the arguments without flags. Raises
            ``SpeciesNetError`` for errors that the user can fix.
        usage: The first screen of its help.
        flags: The flags on its first screen.
        ignored: Flags that it accepts without an effect; no help screen shows them.
        topics: Its other flags by topic, for a command with many; each topic has a one-line description.
        files: The maximum number of arguments without flags.
        missing: The error if there are fewer; empty if fewer are allowed.
        screens: More help screens, by topic.
        epilogue: Text after the first help screen.
    """

    main: Callable[..., None]
    usage: str
    flags: Flags = ()
    ignored: Flags = ()
    topics: Topics = field(default_factory=dict)
    files: int = 0
    missing: str = ""
    screens: Mapping[str, str] = field(default_factory=dict)
    epilogue: str = ""

    @property
    def all_flags(self) -> Flags:
        """All flags, including those that every command takes."""
        sorted_flags = [flag for _, flags in self.topics.values() for flag in flags]
        return list(dict.fromkeys([*self.flags, *self.ignored, *sorted_flags, *LOG]))

    def parse(self, argv: Sequence[str]) -> tuple[Values, list[str]]:
        """The values of the flags, and the arguments without flags.

        Args:
            argv: The name of the program and its arguments.

        Raises:
            absl.flags.Error: A flag or an argument is wrong.
        """
        registered = absl_flags.FlagValues()
        registered.append_flag_values(absl_flags.FLAGS)  # those of absl's own log
        for flag in self.all_flags:
            flag.register(registered)
        files = registered(self._join_values(argv))[1:]
        absl_flags.FLAGS.mark_as_parsed()  # otherwise, absl's log prints a warning
        if len(files) > self.files:
            raise absl_flags.Error(
                f"{files[self.files]!r} does not belong to a flag; flags look like --NAME VALUE"
            )
        return Values(registered), files

    def _join_values(self, argv: Sequence[str]) -> list[str]:
        """Joins several values of one flag into a comma-separated list."""
        names = {f"{dashes}{f.name}" for f in self.all_flags if f.several for dashes in ("-", "--")}
        joined: list[str] = []
        rest = list(argv)
        while rest:
            joined.append(rest.pop(0))
            name, has_value, value = joined[-1].partition("=")
            if joined[-1] == "--":
                return joined + rest
            if name not in names or not (has_value or rest):
                continue
            values = [value if has_value else rest.pop(0)]
            while rest and not rest[0].startswith("-"):
                values.append(rest.pop(0))
            joined[-1] = f"{name}={values[0] if len(values) == 1 else _as_list(values)}"
        return joined

    def help(self, topic: str) -> str:
        """A help screen.

        Args:
            topic: One of the topics, "all", or "" for the first screen.
        """
        if not self.topics:
            return f"{self.usage}\n{describe(self.flags)}" if self.flags else self.usage
        if topic == "all":
            sections = [
                f"{name}: {line}\n{describe(flags)}" for name, (line, flags) in self.topics.items()
            ]
            return "\n".join([describe(self.flags), *sections] if self.flags else sections)
        if topic in self.screens:
            return self.screens[topic]
        if topic in self.topics:
            line, flags = self.topics[topic]
            return f"{topic}: {line}\n\n{describe(flags)}"
        listing = "".join(f"  --help {name:<9} {line}\n" for name, (line, _) in self.topics.items())
        unknown = f"There is no help on {topic!r}.\n\n" if topic else ""
        if self.flags:
            return f"{unknown}{self.usage}\n{describe(self.flags)}{listing}{self.epilogue}"
        everything = "  --help all       everything\n"
        return f"{unknown}{self.usage}\nMore:\n{listing}{everything}{self.epilogue}"


def _as_list(values: Sequence[str]) -> str:
    """A comma-separated list of paths; refuses one path whose spaces are not in quotes."""
    whole = " ".join(values)
    if os.path.exists(whole) and not all(map(os.path.exists, values)):  # noqa: PTH110
        raise absl_flags.Error(f'{whole} contains spaces; put it in quotes: "{whole}"')
    quoted = ('"' + value.replace('"', '""') + '"' for value in values)
    pairs = zip(values, quoted, strict=True)
    return ",".join(q if "," not in v or os.path.exists(v) else v for v, q in pairs)  # noqa: PTH110


# What absl's errors about the value of a flag say, and what the value must be.
_MUST_BE = {
    r"invalid literal for int.*": "a whole number",
    r"could not convert string to float.*": "a number",
    r".*Non-boolean argument.*": "true or false",
    r"value should be one of <(.*)>": "one of {}",
    r"\S+ is not (an? .*)": "{}",
    r"it must be (.*)": "{}",
}


def _worded(problem: str) -> str:
    """An error of absl as a sentence; one about the value of a flag is worded like our own errors."""
    for pattern, kind in _MUST_BE.items():
        if found := re.fullmatch(rf"flag --(\w+)=(.*?): {pattern}", problem, re.DOTALL):
            name, value, *rest = found.groups()
            must_be = kind.format(*(text.replace("|", ", ") for text in rest))
            return f"--{name} is {value!r}; it must be {must_be}."
    if found := re.fullmatch(r"(.* Did you mean): (.*) \?", problem):
        return f"{found[1]} {found[2].replace(', ', ' or ')}?"
    return f"{problem}."


def start(command: Command) -> NoReturn:
    """Runs a command as this program, and exits."""
    _prepare_streams()
    code = EXIT_BROKEN_PIPE
    try:
        code = run(command, sys.argv)
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads the rest
        _drop_output()
    except OSError as error:  # standard output goes to a file on a full disk
        _drop_output()
        say(f"Standard output cannot be written ({error.strerror or error}).")
        code = EXIT_ERROR
    if code and threading.active_count() > 1:
        # Abandoned threads may still compute or wait for a network; their results are not needed.
        with suppress(OSError):
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def run(command: Command, argv: Sequence[str]) -> int:
    """Runs a command and returns its exit code.

    Args:
        command: The command.
        argv: The name of the program and its arguments.
    """
    if (topic := _help_topic(argv)) is not None:
        sys.stdout.write(command.help(topic))
        return 0
    try:
        values, files = command.parse(argv)
    except absl_flags.Error as error:
        say(f"{_worded(str(error).rstrip('.'))} See --help.")
        return EXIT_ERROR
    if values[VERSION]:
        sys.stdout.write(f"speciesnet {speciesnet.__version__}\n")
        return 0
    _set_up_log(values[LOG_LEVEL])
    # Pillow's warnings about EXIF and large images are noise; unreadable images are reported anyway.
    warnings.filterwarnings("ignore", module="PIL")
    interruption = _Interruption()
    try:
        if command.missing and len(files) < command.files:
            raise InputError(command.missing)
        command.main(values, *files)
    except KeyboardInterrupt as hint:
        interruption.ignore_more()
        say(f"Interrupted. {hint}".strip())
        return interruption.exit_code
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _reader_is_gone():
            raise
        say(_sentence_of(error))
        return EXIT_ERROR
    return 0


def say(sentence: str) -> None:
    """Writes a sentence about this program to standard error."""
    sys.stderr.write(f"speciesnet: {sentence}\n")


class _Interruption:
    """Turns signals into ``KeyboardInterrupt``.

    Attributes:
        exit_code: The exit code for the last signal.
    """

    def __init__(self) -> None:
        self.exit_code = EXIT_INTERRUPTED
        # SIGHUP comes when a terminal is closed; nohup ignores it, and Windows has none.
        names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # the last one is for Windows
        signals = [getattr(signal, name, None) for name in names]
        self._handled = [
            number for number in signals if number and signal.getsignal(number) != signal.SIG_IGN
        ]
        for number in self._handled:
            signal.signal(number, self._interrupt)

    def ignore_more(self) -> None:
        """Ignores further signals: the work has stopped, and another would only cut off the output."""
        for number in self._handled:
            signal.signal(number, signal.SIG_IGN)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if _is_importing(frame):
            threading.Timer(0.1, signal.raise_signal, (number,)).start()
            return
        self.exit_code = EXIT_INTERRUPTED if number == signal.SIGINT else EXIT_TERMINATED
        raise KeyboardInterrupt


def _is_importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported: some turn an interruption into an ``ImportError``."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _sentence_of(error: Exception) -> str:
    """The sentence that reports an error to the user."""
    if isinstance(error, SpeciesNetError):
        return str(error)
    if isinstance(error, OSError):
        what = f"{error.filename!r} cannot be used" if error.filename else "The system call failed"
        return f"{what} ({error.strerror or error}); fix the cause and run the same command again."
    # What PyTorch and TensorFlow raise when the memory of a GPU is full; each has its own class.
    if type(error).__name__ in ("MemoryError", "OutOfMemoryError", "ResourceExhaustedError"):
        return "Memory ran out; run the same command again with a smaller --batch_size, such as 1."
    logging.debug("%s", "".join(traceback.format_exception(error)))
    return (
        f"Unexpected error ({_summary(error)}); run the same command again, and if it fails again, "
        "report it with the output of --log_level debug."
    )


def _summary(error: Exception) -> str:
    """The class of an error, its first line, and the file and line of code that raised it."""
    first_line = str(error).strip().partition("\n")[0].rstrip(".")
    *_, origin = traceback.extract_tb(error.__traceback__)
    where = f"{Path(origin.filename).name}:{origin.lineno}"
    return f"{type(error).__name__}{f': {first_line}' if first_line else ''}, {where}"


def _prepare_streams() -> None:
    """Opens missing standard streams, whose numbers other files would get, and makes encoding lenient."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, stream)
        if isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names that a console cannot show


def _reader_is_gone() -> bool:
    """Whether the program that reads standard output has ended, as ``head`` does."""
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):
        return False
    return bool(poll.poll(0))


def _drop_output() -> None:
    """Discards buffered output, about which the interpreter would complain when it exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _help_topic(argv: Sequence[str]) -> str | None:
    """The topic of the requested help, "" for the first screen, or None if none is requested."""
    for position, argument in enumerate(argv[1:], start=1):
        name, _, topic = argument.partition("=")
        if name in ("--help", "-help", "-h", "--helpshort", "--helpfull"):
            following = argv[position + 1] if position + 1 < len(argv) else ""
            default = "all" if name == "--helpfull" else ""
            return topic or ("" if following.startswith("-") else following) or default
        if argument == "--":
            break
    return None


def report_on(target: str, line: str) -> None:
    """Prints what was written, on standard error if the target is a pipe or a device."""
    with suppress(BrokenPipeError):  # the target is complete without a reader
        is_file = "://" in target or Path(target).is_file()
        print(line, file=sys.stdout if is_file else sys.stderr)


def describe(flags: Flags, width: int | None = None) -> str:
    """Flags with their defaults and meanings, wrapped to a width (by default, the terminal's)."""
    width = width or min(max(shutil.get_terminal_size().columns, 60), 100)
    lines = []
    for flag in flags:
        lines += textwrap.wrap(flag.syntax, width, initial_indent="  ")
        lines += textwrap.wrap(
            flag.description, width, initial_indent="      ", subsequent_indent="      "
        )
    return "\n".join(lines) + "\n"


def _set_up_log(level: str) -> None:
    """Plain lines on standard error that do not break progress bars."""
    from tqdm import tqdm  # takes as long to import as all of the above
    from tqdm.contrib import DummyTqdmFile

    # The default lock works across processes. From Python 3.14 on, and on macOS, it starts a process
    # that tracks it, and that warns about it when an interrupted program leaves without cleaning up.
    tqdm.set_lock(threading.RLock())
    logging.use_absl_handler()
    logging.set_verbosity(level)
    standard_logging.getLogger().setLevel(standard_logging.WARNING)  # for other packages
    # It logs the URLs of retried requests, which may contain signatures.
    standard_logging.getLogger("urllib3").setLevel(standard_logging.ERROR)
    handler, logger = logging.get_absl_handler(), logging.get_absl_logger()
    logger.setLevel(level.upper())
    # OpenVINO, once imported, removes the handler from the root logger.
    logger.addHandler(handler)
    logger.propagate = False
    handler.setFormatter(standard_logging.Formatter("%(message)s"))
    handler.python_handler.stream = DummyTqdmFile(sys.stderr)
