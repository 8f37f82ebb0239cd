from __future__ import annotations

from pathlib import Path

import pytest

from speciesnet.app.logs import action_for, reason_of_end, tail


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
