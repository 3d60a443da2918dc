"""A page on localhost, for this machine alone, until Ctrl-C."""

import os
import socket
import sys
import webbrowser
from collections.abc import Callable
from typing import Any

from slime.errors import SlimeError
from slime.view.subject import Subject

HOST = "127.0.0.1"


def serve(subject_of: Callable[[], Subject], *, port: int, browser: bool) -> None:
    """Serve the page, say where, open it where there is a display, and wait.

    Everything comes from this process: bokeh's scripts too, whatever BOKEH_RESOURCES says.

    Raises:
        SlimeError: bokeh is not installed, or the port is taken.
    """
    server = start_server(subject_of, port=port)
    address = f"http://localhost:{server.port}/"
    print(f"{address}  (Ctrl-C ends)", flush=True)
    if browser and has_display():
        webbrowser.open(address)
    try:
        server.io_loop.start()
    except KeyboardInterrupt:
        print()
    finally:
        server.stop()


def start_server(subject_of: Callable[[], Subject], *, port: int) -> Any:
    """A bokeh server that listens already; its `io_loop` answers once it is started."""
    try:
        from bokeh.server.server import Server
        from bokeh.settings import settings
    except ImportError as error:
        raise SlimeError("the page needs bokeh: pip install 'slime[view]'") from error
    from slime.view.page import make_page

    settings.resources.set_value("server")
    port = free_port(port)
    names = [f"{name}:{port}" for name in ("localhost", HOST)]
    return Server(
        {"/": make_page(subject_of)}, port=port, address=HOST, allow_websocket_origin=names
    )


def free_port(port: int) -> int:
    """The port itself, or one that is free for 0.

    Raises:
        SlimeError: it is taken, or not ours to take.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise SlimeError(
                f"port={port} cannot be used ({error.strerror}): another, or port=0 for any"
            ) from error
        return probe.getsockname()[1]


def has_display() -> bool:
    """Whether a browser would have a window; elsewhere it would take the terminal."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
