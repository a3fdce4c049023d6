"""Serve the deck on loopback; the page reloads when a source changes.

The page listens to one stream for as long as it is open. Whoever listens is
what makes the deck anew: no watcher, nothing to stop. Beside it are the live
shows, whose processes end with the server.
"""

import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from slides import DECK, DeckError
from slides.live import web
from slides.live.shows import Shows
from slides.site import build

TICK_S = 0.02
ASK_S = 0.5  # how often a listener looks for a newer deck


class Live:
    """A built deck that follows its sources."""

    def __init__(
        self, out: Path, say: Callable[[str], None], deck: Path = DECK
    ) -> None:
        self.out = out
        self.deck = deck
        self._say = say
        self._one_at_a_time = threading.Lock()
        self._read: set[Path] = set()
        self._built_at = 0.0
        self._version = ""

    def version(self) -> str:
        """Return the deck's version, built anew if a source has changed.

        A deck that cannot be built leaves the last one that could standing:
        the talk goes on while its author mistypes.
        """
        with self._one_at_a_time:
            if self._changed():
                self._built_at = time.time()
                version = str(self._built_at)
                try:
                    self._read = build(
                        self.out, deck=self.deck, version=version
                    )
                    self._version = version
                    self._say("built")
                except (DeckError, OSError) as error:
                    self._say(str(error))
            return self._version

    def _changed(self) -> bool:
        times = [p.stat().st_mtime for p in self._read if p.exists()]
        gone = len(times) < len(self._read)
        # The time of a file may lag behind the clock by one of its ticks.
        return not times or gone or max(times) > self._built_at - TICK_S


class Handler(SimpleHTTPRequestHandler):
    server: "Server"

    def __init__(self, live: Live, *args: Any) -> None:
        self.live = live
        super().__init__(*args, directory=str(live.out))

    def do_GET(self) -> None:
        show = web.find(self.server.shows, self.path)
        if self.path != "/version" and not show:
            super().do_GET()
        elif not web.is_ours(dict(self.headers), self.server.server_port):
            self.send_error(HTTPStatus.FORBIDDEN)
        else:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            with suppress(OSError):  # the page was left
                if show:
                    web.stream(show, self.wfile.write)
                self._send_versions()

    def do_POST(self) -> None:
        headers = dict(self.headers)
        status = HTTPStatus.FORBIDDEN
        if web.is_ours(headers, self.server.server_port):
            status = web.command(self.server.shows, self.path, headers)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_versions(self) -> None:
        while True:
            version = self.live.version()
            self.wfile.write(f"data: {version}\n\n".encode())
            time.sleep(ASK_S)

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing: the terminal is for what is wrong with the deck."""


class Server(ThreadingHTTPServer):
    def __init__(self, *args: Any) -> None:
        self.shows = Shows()
        super().__init__(*args)

    def server_close(self) -> None:
        super().server_close()
        self.shows.close()

    def handle_error(self, *request: Any) -> None:
        """Say nothing of a page that was left before it had loaded."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*request)


def server(live: Live, port: int) -> Server:
    """Bind `port` on loopback (0: any) and return the server, not running."""
    live.version()
    return Server(("127.0.0.1", port), partial(Handler, live))
