"""What every command line shares: flags, help, log, errors, interruption, closed pipes."""

from __future__ import annotations

import io
import logging as standard_logging
import os
import select
import shutil
import signal
import sys
import textwrap
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
    code = EXIT_BROKEN_PIPE
    try:
        code = _run(main, argv, help_text, files)
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads what is left
        _drop_output()
    return code


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

    def terminate(number: int, frame: FrameType | None) -> None:
        exit_code[0] = EXIT_TERMINATED
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, terminate)
    hangup = getattr(signal, "SIGHUP", None)  # a terminal that is closed; nohup ignores it
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        signal.signal(hangup, terminate)
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
        if type(error).__name__ not in (
            "MemoryError",
            "OutOfMemoryError",
            "ResourceExhaustedError",
        ):
            raise
        _say("Memory ran out; give a smaller --batch_size, such as 1, and the same command again.")
        return EXIT_ERROR
    except KeyboardInterrupt as interrupt:
        _say(f"Interrupted. {interrupt}".strip())
        return exit_code[0]
    return 0


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
        print(line, file=sys.stdout if Path(target).is_file() else sys.stderr)


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
    handler, logger = logging.get_absl_handler(), logging.get_absl_logger()
    logger.setLevel(_LOG_LEVEL.value.upper())
    # OpenVINO, once imported, takes the handler off the root.
    logger.addHandler(handler)
    logger.propagate = False
    handler.setFormatter(standard_logging.Formatter("%(message)s"))
    handler.python_handler.stream = DummyTqdmFile(sys.stderr)


def _say(sentence: str) -> None:
    sys.stderr.write(f"speciesnet: {sentence}\n")
