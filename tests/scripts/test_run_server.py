from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path

import pytest
from commands import Outcome, run_here, run_module
from servers import served

pytest.importorskip("fastapi", reason='the extra "server" is not installed')


def refused(*arguments: str | Path) -> Outcome:
    done = run_here("run_server", "--model", "demo", "--port", "0", *arguments)
    assert done.code == 1
    return done


def test_help_is_short() -> None:
    done = run_here("run_server", "--help")
    assert (done.code, done.err) == (0, "")
    assert len(done.out.splitlines()) < 25
    assert "--allow_anyone" in run_here("run_server", "--help", "safety").out


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_other_computers_need_a_key(host: str) -> None:
    assert "set keys with --api_key_file, or add --allow_anyone" in refused("--host", host).sentence


@pytest.mark.parametrize("flag", ["max_image_mb", "max_body_mb", "timeout"])
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_limits_are_numbers(flag: str, value: str) -> None:
    assert flag in refused(f"--{flag}", value).sentence


def test_mistakes_end_in_one_sentence(tmp_path: Path) -> None:
    keys = tmp_path / "keys.txt"
    keys.write_text("short\n")
    for arguments, sentence in (
        (["--api_path", "predict"], "--api_path predict cannot be used"),
        (["--api_path", "/health"], "--api_path /health cannot be used"),
        (["--api_path", "/a/../b"], "cannot be used"),
        (
            ["--extra_fields", "camera,prediction"],
            "--extra_fields prediction is already a field of records",
        ),
        (["--extra_fields", "filepath"], "is already a field of records"),
        (["--extra_fields", "image"], "is already a field of records"),
        (["--allow_path", tmp_path / "gone"], "is not a folder"),
        (["--allow_url", "http://x"], "is not a host"),
        (["--api_key_file", tmp_path / "gone"], "cannot be read"),
        (["--api_key_file", keys], "16 or more ASCII characters"),
        (["--max_instances", "300"], "increase --backlog"),
        (["--engine", "steam"], "engine is 'steam'"),
        (["--host", "192.0.2.1", "--allow_anyone"], "cannot be used"),
        (["--port", "70000"], "See --help"),
        (["--batch_size", "0"], "See --help"),
    ):
        assert sentence in refused(*arguments).sentence
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        assert f"Port {port} of 127.0.0.1 cannot be used" in refused("--port", port).sentence


def test_model_that_cannot_be_loaded_ends_it(tmp_path: Path) -> None:
    done = run_module("run_server", "--port", "0", "--model", tmp_path)
    assert done.code == 1
    assert str(tmp_path) in done.sentence


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
def test_server_runs_until_it_is_interrupted(tmp_path: Path) -> None:
    with served(tmp_path, "--api_path", "/v1/species") as server:
        assert server.ask("/v1/species", "{}").status == 400
        assert server.ask("/predict", "{}").status == 404
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(60) == 0
        assert server.process.stdout is not None
        assert server.process.stdout.read() == ""
        assert "Traceback" not in server.log.read_text()
