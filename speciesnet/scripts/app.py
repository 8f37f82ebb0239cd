"""The window for people who do not use a terminal: ``speciesnet app``."""

from __future__ import annotations

import secrets
import socket
import sys
import threading
from pathlib import Path

from speciesnet.errors import InputError, OutputError, file_errors
from speciesnet.scripts import console, flags

PORT = flags.integer(
    "port", None, "Port to use on this computer; by default 8766, or a free one.", at_most=65535
)
NOBROWSER = flags.switch("nobrowser", "Print the address without opening a browser.")
SHORTCUT = flags.switch("shortcut", "Put an icon that opens the page on the desktop, and exit.")
DEFAULT_PORT = 8766
OPENING_SECONDS = 5.0  # to start the browser

USAGE = """\
Opens a page in the browser for running and reviewing whole surveys, without a
terminal.

  speciesnet app

Only this computer can reach the printed address. Press Ctrl-C to stop.
"""


def main(values: flags.Values) -> None:
    """Prints the address, opens the browser and serves; or shows a window that is already open."""
    from filelock import FileLock, Timeout

    from speciesnet.app.surveys import data_folder
    from speciesnet.server.tokens import token_of

    if values[SHORTCUT]:
        from speciesnet.app.shortcut import write_shortcut

        sys.stdout.write(f"{write_shortcut()}: double-click it to open SpeciesNet.\n")
        return
    folder = data_folder()
    with file_errors(OutputError, folder, fix="Free space, or fix its permissions."):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "window.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            lock = None
    noted = folder / "window.port"
    if lock is None:
        with file_errors(InputError, noted, fix="Try again in a second."):
            port = int(noted.read_text(encoding="ascii"))
        if opening := _show(folder, port, token_of(folder), values[NOBROWSER]):
            opening.join(OPENING_SECONDS)
        return
    with lock, _listener(values[PORT]) as listener:
        port, token = listener.getsockname()[1], token_of(folder)
        noted.write_text(str(port), encoding="ascii")
        _serve(folder, token, port, listener, values[NOBROWSER])


def _listener(port: int | None) -> socket.socket:
    from speciesnet.server.listening import listen

    if port:
        return listen("127.0.0.1", port)
    try:
        return listen("127.0.0.1", DEFAULT_PORT)
    except InputError:  # another user of this computer has a window
        return listen("127.0.0.1", 0)


def _serve(folder: Path, token: str, port: int, listener: socket.socket, nobrowser: bool) -> None:
    from speciesnet.app.web import make_app
    from speciesnet.app.window import Window
    from speciesnet.server.listening import serve_alone

    window = Window(folder)
    try:
        _show(folder, port, token, nobrowser)
        serve_alone(make_app(window, token, port), listener)
    finally:
        window.close()


def _show(folder: Path, port: int, token: str, nobrowser: bool) -> threading.Thread | None:
    """Prints the address of the window and, in a thread, opens it in the browser with a ticket."""
    from speciesnet.app.auth import OPEN
    from speciesnet.app.window import TICKET

    address = f"http://127.0.0.1:{port}{OPEN}"
    sys.stdout.write(f"SpeciesNet is at {address}{token}\n")
    sys.stdout.flush()
    if nobrowser:
        return None
    import webbrowser

    ticket, path = secrets.token_urlsafe(12), folder / TICKET
    path.unlink(missing_ok=True)
    path.touch(0o600)
    path.write_text(ticket, encoding="ascii")
    # A browser in the terminal would not return.
    opening = threading.Thread(target=webbrowser.open, args=(address + ticket,), daemon=True)
    opening.start()
    return opening


COMMAND = console.Command(main, USAGE, (PORT, NOBROWSER, SHORTCUT))

if __name__ == "__main__":
    console.start(COMMAND)
