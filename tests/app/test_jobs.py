from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from speciesnet.app.commands import Line
from speciesnet.app.jobs import interrupt, start
from speciesnet.app.logs import tail
from speciesnet.images.instances import SAMPLE_IMAGES


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
