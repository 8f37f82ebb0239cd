"""A real server accepts the requests that its OpenAPI document allows, and rejects all others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from servers import STAND_IN, served

pytest.importorskip("schemathesis", reason="it is not installed")

KEY = "a key that is long enough"
CONFIGURATION = """
[checks]
# The default list lacks 413, the status of more images than --max_instances.
negative_data_rejection.expected-statuses = [400, 401, 403, 405, 413, 415]
# 403 is the status of paths that the server may not read; the document cannot list them.
positive_data_acceptance.expected-statuses = [200, 403]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx"]
"""
KEYS = f"""
[auth.openapi]
key.api_key = "{KEY}"
bearer.bearer = "{KEY}"
"""


@pytest.mark.parametrize(
    ("phases", "with_key", "program"),
    [("fuzzing", False, None), ("examples,coverage", True, STAND_IN)],  # of hundreds of images
)
def test_server_behaves_as_its_document_describes(
    tmp_path: Path, phases: str, with_key: bool, program: Path | None
) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has other signals")
    (tmp_path / "keys.txt").write_text(KEY)
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION + with_key * KEYS)
    flags = ["--max_instances", "2", "--extra_fields", "camera"]
    flags += ["--api_key_file", str(tmp_path / "keys.txt")] if with_key else []
    command = [sys.executable, "-m", "schemathesis.cli"]
    command += ["--config-file", "schemathesis.toml", "--no-color", "run"]
    command += ["--phases", phases, "--max-examples", "30", "--request-timeout", "120"]
    command += ["--generation-deterministic", "--continue-on-failure"]
    with served(tmp_path, *flags, program=program) as server:
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
