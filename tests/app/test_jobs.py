from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from speciesnet.app.commands import Line
from speciesnet.app.jobs import action_for, interrupt, reason_of_end, start, tail
from speciesnet.instances import SAMPLE_IMAGES


@pytest.mark.parametrize(
    ("sentence", "action"),
    [
        ("p.json cannot be written (No space left on device). Fix the cause and run", "free_space"),
        ("p.json is being written by another run. Wait for it, or pass another file.", "wait"),
        (
            "The model kaggle:a/b cannot be downloaded (offline); check the network",
            "download_model",
        ),
        ("The folder /media/card does not exist; give the folder", "choose_folder"),
        ("Camtrap DP requires a title; add --title.", None),
    ],
)
def test_errors_of_commands_have_what_fixes_them(sentence: str, action: str | None) -> None:
    assert action_for(sentence) == action


def test_the_last_sentence_of_a_command_is_its_reason(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("Loading\rLoaded\nspeciesnet: It is broken.\nlate output\n")
    assert tail(log) == ["Loading", "Loaded", "speciesnet: It is broken.", "late output"]
    assert reason_of_end(1, log) == "It is broken."
    assert "signal 9" in reason_of_end(-9, log)
    assert "exit code 1" in reason_of_end(1, tmp_path / "gone")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals are ignored in other ways there")
def test_a_window_that_was_started_in_the_background_can_stop_its_commands(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # which its children inherit
    try:
        output = str(tmp_path / "p.json")
        arguments = ["--model", "demo", "--folders", str(SAMPLE_IMAGES)]
        process = start(Line([*arguments, "--predictions_json", output]), tmp_path / "log")
    finally:
        signal.signal(signal.SIGINT, before)
    while not tail(tmp_path / "log") and process.poll() is None:
        time.sleep(0.01)
    interrupt(process.pid)
    assert process.wait(60) != 0
