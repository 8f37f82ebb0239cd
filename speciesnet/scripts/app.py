"""The window for people who do not use a terminal: ``speciesnet app``."""

from __future__ import annotations

import sys
import threading

from speciesnet.scripts import console, flags

PORT = flags.integer(
    "port", None, "Port of this computer to use; by default 8766, or a free one.", at_most=65535
)
NOBROWSER = flags.switch("nobrowser", "Print the address, but open no browser.")
DEFAULT_PORT = 8766

USAGE = """\
Opens a page in the browser in which whole surveys are run and reviewed, without
a terminal.

  speciesnet app

Only this computer can reach the printed address. Press Ctrl-C to stop.
"""


def main(values: flags.Values) -> None:
    """Listens, prints the address, opens the browser, and serves."""
    from speciesnet.app.guard import OPEN
    from speciesnet.app.web import make_app
    from speciesnet.errors import InputError
    from speciesnet.server.listening import listen, serve_alone
    from speciesnet.server.tokens import token_of

    try:
        listener = listen("127.0.0.1", values[PORT] or DEFAULT_PORT)
    except InputError:
        if values[PORT]:
            raise
        listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    token = token_of("app")
    address = f"http://127.0.0.1:{port}{OPEN}{token}"
    sys.stdout.write(f"SpeciesNet is at {address}\n")
    sys.stdout.flush()
    if not values[NOBROWSER]:
        import webbrowser

        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    with listener:
        serve_alone(make_app(token, port), listener)


COMMAND = console.Command(main, USAGE, (PORT, NOBROWSER))

if __name__ == "__main__":
    console.start(COMMAND)
