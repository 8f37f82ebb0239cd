"""What every command line shares: flags, help, log, errors, interruption, closed pipes."""

from __future__ import annotations

import io
import logging as standard_logging
import math
import os
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
from pathlib import Path
from types import FrameType

from absl import flags, logging
from tqdm.contrib import DummyTqdmFile

import speciesnet
from speciesnet.errors import SpeciesNetError

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143
EXIT_BROKEN_PIPE = 141

_LOG_LEVEL = flags.DEFINE_enum(
    "log_level",
    "info",
    ["debug", "info", "warning", "error"],
    "How much to tell on standard error.",
)
_VERSION = flags.DEFINE_bool("version", False, "Print the version and end.")


def run(
    main: Callable[..., None],
    argv: Sequence[str],
    help_text: Callable[[str], str],
    files: int = 0,
) -> int:
    """Parses the flags, runs a command line and answers its exit code.

    Args:
        main: The command; raises ``SpeciesNetError`` for what the user can mend. It is given the
            arguments that belong to no flag.
        argv: The program's name and its arguments.
        help_text: From a topic ("" for none) to what ``--help`` prints.
        files: How many arguments may belong to no flag.
    """
    _open_missing_streams()
    code = EXIT_BROKEN_PIPE
    try:
        code = _run(main, argv, help_text, files)
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads what is left
        _drop_output()
    except OSError as error:  # into a file on a full disk
        _drop_output()
        _say(f"Standard output cannot be written ({error.strerror}).")
        code = EXIT_ERROR
    if code and threading.active_count() > 1:
        # What was given up may still wait for a network, or compute: nothing of it is needed.
        with suppress(OSError):
            sys.stderr.flush()
        os._exit(code)
    return code


def _open_missing_streams() -> None:
    """Else the next file that is opened would take their place, and what libraries say."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, stream)


def _run(
    main: Callable[..., None], argv: Sequence[str], help_text: Callable[[str], str], files: int
) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # file names hold what consoles cannot show
            stream.reconfigure(errors="backslashreplace")
    if (topic := _help_topic(argv)) is not None:
        sys.stdout.write(help_text(topic))
        return 0
    try:
        rest = flags.FLAGS(list(argv))[1:]
        if len(rest) > files:
            raise flags.Error(f"{rest[files]!r} belongs to no flag; flags look like --NAME VALUE")
    except flags.Error as error:
        _say(f"{str(error).rstrip('.')}. See --help.")
        return EXIT_ERROR
    if _VERSION.value:
        sys.stdout.write(f"speciesnet {speciesnet.__version__}\n")
        return 0
    _set_up_log()
    # Damaged EXIF and large images are no news to a survey; unreadable ones are told otherwise.
    warnings.filterwarnings("ignore", module="PIL")
    exit_code = [EXIT_INTERRUPTED]

    def interrupt(number: int, frame: FrameType | None) -> None:
        if _is_importing(frame):
            threading.Timer(0.1, signal.raise_signal, (number,)).start()
            return
        exit_code[0] = EXIT_INTERRUPTED if number == signal.SIGINT else EXIT_TERMINATED
        raise KeyboardInterrupt

    # HUP comes when a terminal is closed; nohup ignores it, and Windows has none.
    signals = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP")]
    heard = [number for number in signals if number and signal.getsignal(number) != signal.SIG_IGN]
    for number in heard:
        signal.signal(number, interrupt)
    try:
        main(*rest)
    except SpeciesNetError as error:
        _say(str(error))
        return EXIT_ERROR
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _reader_is_gone():
            raise
        what = f"{error.filename!r} cannot be used" if error.filename else "The system refused"
        _say(f"{what} ({error.strerror or error}); mend that and give the same command again.")
        return EXIT_ERROR
    except Exception as error:
        # What PyTorch and TensorFlow raise when a graphics card is full; each has its own.
        if type(error).__name__ in ("MemoryError", "OutOfMemoryError", "ResourceExhaustedError"):
            _say(
                "Memory ran out; give a smaller --batch_size, such as 1, and the same command again."
            )
        else:
            logging.debug("%s", traceback.format_exc())
            _say(
                f"Something failed that should not ({_summary(error)}); give the same command again, "
                "and if it fails again, report it with what --log_level debug shows."
            )
        return EXIT_ERROR
    except KeyboardInterrupt as told_so:
        for number in heard:  # all is done: once more would only break off the last words
            signal.signal(number, signal.SIG_IGN)
        _say(f"Interrupted. {told_so}".strip())
        return exit_code[0]
    return 0


def _is_importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported: some turn an interruption into an ``ImportError``."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _summary(error: Exception) -> str:
    """What an error is, its first line, and the file and line of code that it comes from."""
    first_line = str(error).strip().partition("\n")[0].rstrip(".")
    *_, origin = traceback.extract_tb(error.__traceback__)
    where = f"{Path(origin.filename).name}:{origin.lineno}"
    return f"{type(error).__name__}{f': {first_line}' if first_line else ''}, {where}"


def _reader_is_gone() -> bool:
    """Whether the program that standard output is piped into has ended, as ``head`` does."""
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):
        return False
    return bool(poll.poll(0))


def _drop_output() -> None:
    """Leaves nothing for the interpreter to complain of when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _help_topic(argv: Sequence[str]) -> str | None:
    """The topic asked for, "" for none in particular, or None where no help is asked for."""
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
    """Says what was written; not into a pipe or device that was written to itself."""
    with suppress(BrokenPipeError):  # it is written all the same
        is_file = "://" in target or Path(target).is_file()
        print(line, file=sys.stdout if is_file else sys.stderr)


def must_be_finite(*names: str) -> None:
    """Refuses ``nan`` as the value of flags, which no bound does."""
    for name in names:
        flags.register_validator(
            name, lambda value: value is None or math.isfinite(value), "it must be a number"
        )


def describe_flags(names: Sequence[str]) -> str:
    """Flags with their defaults and meanings, wrapped to the terminal."""
    width = min(max(shutil.get_terminal_size().columns, 60), 100)
    lines = []
    for name in names:
        flag = flags.FLAGS[name]
        is_switch = flag.flag_type() == "bool"
        value = "" if is_switch else f" {_placeholder(flag)}"
        shown = f"--[no]{name}" if is_switch and flag.default else f"--{name}{value}"
        default = "" if flag.default in (None, False, True) else f" Default: {flag.default}."
        lines += textwrap.wrap(shown, width, initial_indent="  ")
        lines += textwrap.wrap(
            f"{flag.help}{default}", width, initial_indent="      ", subsequent_indent="      "
        )
    return "\n".join(lines) + "\n"


def _placeholder(flag: flags.Flag) -> str:
    if isinstance(flag, flags.EnumFlag):
        return "|".join(flag.parser.enum_values)
    return {"int": "N", "float": "X"}.get(flag.flag_type(), "TEXT")


def topics_help(usage: str, topics: Mapping[str, tuple[str, Sequence[str]]], topic: str) -> str:
    """The help of a command whose flags are sorted into topics.

    Args:
        usage: The first screen.
        topics: From a topic to its one-line description and its flags.
        topic: One of them, "all", or "" for the first screen.
    """
    if topic == "all":
        sections = [
            f"{name}: {line}\n{describe_flags(names)}" for name, (line, names) in topics.items()
        ]
        return "\n".join(sections)
    if topic in topics:
        line, names = topics[topic]
        return f"{topic}: {line}\n\n{describe_flags(names)}"
    listing = "\n".join(f"  --help {name:<9} {line}" for name, (line, _) in topics.items())
    unknown = f"There is no help on {topic!r}.\n\n" if topic else ""
    return f"{unknown}{usage}\nMore:\n{listing}\n  --help all       everything\n"


def _set_up_log() -> None:
    """Plain lines on standard error that leave progress bars whole."""
    logging.use_absl_handler()
    logging.set_verbosity(_LOG_LEVEL.value)
    standard_logging.getLogger().setLevel(standard_logging.WARNING)  # of other packages
    # It tells the addresses that it tries again, which may hold signatures.
    standard_logging.getLogger("urllib3").setLevel(standard_logging.ERROR)
    handler, logger = logging.get_absl_handler(), logging.get_absl_logger()
    logger.setLevel(_LOG_LEVEL.value.upper())
    # OpenVINO, once imported, takes the handler off the root.
    logger.addHandler(handler)
    logger.propagate = False
    handler.setFormatter(standard_logging.Formatter("%(message)s"))
    handler.python_handler.stream = DummyTqdmFile(sys.stderr)


def _say(sentence: str) -> None:
    sys.stderr.write(f"speciesnet: {sentence}\n")
