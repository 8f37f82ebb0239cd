"""What the log of a command says: how the command ended, what it did, and what fixes an error."""

from __future__ import annotations

import re
from pathlib import Path

TAIL_BYTES = 2**16  # at the end of a log, which pages show or search
LOG_LINES = 20
MAX_LINES = 2000
_ERROR_PREFIX = "speciesnet: "  # precedes the sentence with which a command ends
# The action that fixes an error, by words in its sentence.
_ACTIONS = (
    ("No space left|disk is full|not enough space", "free_space"),
    ("being written by", "wait"),
    ("cannot be downloaded", "download_model"),
    ("model package|no model", "choose_model"),
    (
        r"no position|time ?zone|[Dd]eployments? |deploymentID| as (latitude|longitude|deployment\w+);",
        "choose_positions",
    ),
    ("The folder .* (does not exist|cannot be)|was moved or deleted", "choose_folder"),
)

# The line that says what a command did, if notes may follow it; otherwise, the last line says it.
_RESULT_LINES = {
    "camtrap-dp": r"[\d,]+ photographs? in [\d,]+ events? of ",
    "cameras": r"[\d,]+ cameras?, [\d,]+ with findings;",
    "ecology": r"[\d,]+ detections? of ",
    "evaluate": r"[\d,]+ labeled photographs? in ",
    "report": r"Report of ",
    "sort": r"[\d,]+ photographs? .*sorted ",
}


def action_for(sentence: str) -> str | None:
    """The name of the action that fixes the error in a sentence, if there is one."""
    return next((name for words, name in _ACTIONS if re.search(words, sentence)), None)


def tail(log: Path, lines: int = LOG_LINES) -> list[str]:
    """The last lines of a log; empty if it no longer exists."""
    try:
        with log.open("rb") as file:
            file.seek(max(log.stat().st_size - TAIL_BYTES, 0))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line for line in re.split(r"[\r\n]+", text) if line.strip()][-lines:]


def last_sentence(log: Path) -> str | None:
    """The sentence with which a command ended, otherwise the last line of its log."""
    lines = tail(log)
    own = [line for line in lines if line.startswith(_ERROR_PREFIX)]
    return own[-1].removeprefix(_ERROR_PREFIX) if own else (lines[-1] if lines else None)


def said(kind: str, log: Path) -> str | None:
    """The line in which a command of a given kind says what it did."""
    lines = tail(log, MAX_LINES)
    if pattern := _RESULT_LINES.get(kind):
        lines = [line for line in lines if re.match(pattern, line)] or lines
    return lines[-1] if lines else None


def sentence_on_failures(log: Path) -> str | None:
    """The sentence of a complete run that says how many images failed."""
    pattern = r"[\d,]+ (image|film)s?\b.*, \d+ (of them )?failed"
    return next((one for one in tail(log, 100) if re.match(pattern, one)), None)


def reason_of_end(code: int, log: Path) -> str:
    """One sentence on why a command failed."""
    if code < 0:
        return (
            f"The command was killed (signal {-code}), perhaps because memory ran out; what it has "
            "written is kept."
        )
    return last_sentence(log) or f"The command ended without a message (exit code {code})."


def estimate_in(log: Path) -> dict[str, object]:
    """The numbers that ``--dry_run`` prints."""
    text = "\n".join(tail(log))
    found: dict[str, object] = {}
    if match := re.search(r"^([\d,]+) images?, ([\d,]+) of them already done", text, re.MULTILINE):
        images, before = (int(one.replace(",", "")) for one in match.groups())
        found |= {"images": images, "done_before": before}
        if match := re.search(r"^(\S+) images/s", text, re.MULTILINE):
            rate = float(match[1])
            found |= {"images_per_second": rate, "seconds": (images - before) / rate}
    elif match := re.search(
        r"^([\d,]+) images?, (?:all of them )?already done", text, re.MULTILINE
    ):
        images = int(match[1].replace(",", ""))
        found |= {"images": images, "done_before": images, "seconds": 0.0}
    if match := re.search(r"leaves out (\d+) films?", text):
        found["films_left_out"] = int(match[1])
    return found
