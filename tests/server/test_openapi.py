"""What the OpenAPI document allows is answered by the real server, and what it does not is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from servers import served

pytest.importorskip("schemathesis", reason="it is not installed")

KEY = "a key that is long enough"
CONFIGURATION = """
[checks]
# Its own list has no 413, which is what more images than --max_instances get.
negative_data_rejection.expected-statuses = [400, 401, 403, 405, 413, 415]
# 403 is for a path that the server may not read, and no document can say which.
positive_data_acceptance.expected-statuses = [200, 403]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx"]
"""
KEYS = f"""
[auth.openapi]
key.api_key = "{KEY}"
bearer.bearer = "{KEY}"
"""


@pytest.mark.parametrize(("phases", "with_key"), [("fuzzing", False), ("examples,coverage", True)])
def test_server_does_what_its_document_says(tmp_path: Path, phases: str, with_key: bool) -> None:
    if sys.platform == "win32":
        pytest.skip("signals to servers are other ones here")
    (tmp_path / "keys.txt").write_text(KEY)
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION + with_key * KEYS)
    flags = ["--max_instances", "2", "--extra_fields", "camera"]
    flags += ["--api_key_file", str(tmp_path / "keys.txt")] if with_key else []
    command = [sys.executable, "-m", "schemathesis.cli"]
    command += ["--config-file", "schemathesis.toml", "--no-color", "run"]
    command += ["--phases", phases, "--max-examples", "30", "--request-timeout", "120"]
    command += ["--generation-deterministic", "--continue-on-failure"]
    with served(tmp_path, *flags) as server:
        done = subprocess.run(
            [*command, f"{server.address}openapi.json"],
            cwd=tmp_path,
            capture_output=True,
            encoding="utf-8",
            timeout=600,
        )
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr
        assert "4 selected / 4 total" in done.stdout
        assert server.stop() == 0
        assert "Traceback" not in server.log.read_text()
