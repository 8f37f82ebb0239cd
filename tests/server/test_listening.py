from __future__ import annotations

import json
import subprocess
import sys

import pytest

from speciesnet.errors import InputError
from speciesnet.server.errors import MAX_MESSAGE, RejectedError, error_response
from speciesnet.server.listening import listen


def test_port_in_use_is_an_error() -> None:
    with listen("127.0.0.1", 0) as listener:
        host, port = listener.getsockname()
        assert host == "127.0.0.1"
        with pytest.raises(InputError, match=f"Port {port} of 127.0.0.1 cannot be used"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid"])
def test_host_must_be_this_computer(host: str) -> None:
    with pytest.raises(InputError, match=f"--host {host} cannot be used: it is not an address"):
        listen(host, 0)


@pytest.mark.parametrize(
    ("status", "headers"),
    [(400, {}), (401, {"www-authenticate": "Bearer"}), (503, {"retry-after": "5"})],
)
def test_error_response_has_the_message_and_headers(status: int, headers: dict[str, str]) -> None:
    response = error_response(RejectedError(status, "x" * 1000))
    assert response.status_code == status
    assert json.loads(bytes(response.body)) == {"error": "x" * MAX_MESSAGE}
    assert headers.items() <= dict(response.headers).items()


def test_shared_modules_need_only_starlette_and_uvicorn() -> None:
    imports = "import sys, speciesnet.server.auth, speciesnet.server.listening"
    check = "assert not {'fastapi', 'prometheus_client', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", f"{imports}; {check}"], check=True)
