"""What a page may ask of the shows, and which pages may.

    GET  /version                      the deck's, again and again
    GET  /live/NAME                    events of a show
    POST /live/NAME/start              start it, from the beginning
    POST /live/NAME/VERB?worker=WHO    pass a click on what the show named

A click kills a process, so not every page in the browser may ask: Host and
Origin have to be those of the deck, and a command needs a header that a form
of another site cannot send. Both answers to a GET are Server-Sent Events.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from slides.live.shows import COMMANDS, Show

HEADER = "X-Live"
VERBS = ("kill", "call", "slow", "tick")
PATIENCE_S = 0.5  # then a stream says that there is nothing new


class Server(ThreadingHTTPServer):
    """The deck and its shows, whose processes end with it."""

    def __init__(self, version: Callable[[], str], *args: Any) -> None:
        self.version = version
        self.shows = {f"/live/{k}": Show(*v) for k, v in COMMANDS.items()}
        super().__init__(*args)

    def server_close(self) -> None:
        super().server_close()
        for show in self.shows.values():
            show.end()

    def handle_error(self, *request: Any) -> None:
        """Ignore a page that was left before it had loaded."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*request)


class Handler(SimpleHTTPRequestHandler):
    """Answers with a file of the deck, a stream, or what a show did."""

    server: Server

    def do_GET(self) -> None:
        if self.path == "/version":
            self._stream(self._versions())
        elif show := self.server.shows.get(self.path):
            self._stream(events(show))
        else:
            super().do_GET()

    def do_POST(self) -> None:
        is_command = self.headers.get(HEADER) == "1" and self._is_ours()
        status = self._obey() if is_command else HTTPStatus.FORBIDDEN
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _is_ours(self) -> bool:
        """Return whether a request comes from the deck itself."""
        port = self.server.server_port
        ours = {f"127.0.0.1:{port}", f"localhost:{port}"}
        host, origin = self.headers.get("Host"), self.headers.get("Origin")
        return host in ours and origin in (None, f"http://{host}")

    def _obey(self) -> HTTPStatus:
        """Do what a POST asks for; tell how it went."""
        path, _, query = self.path.partition("?")
        path, _, verb = path.rpartition("/")
        show = self.server.shows.get(path)
        worker = parse_qs(query).get("worker", [""])[0]
        if not show:
            return HTTPStatus.NOT_FOUND
        if verb == "start":
            show.start()
        elif verb in VERBS and worker in show.workers():
            show.tell(f"{verb} {worker}")
        else:
            return HTTPStatus.NOT_FOUND
        return HTTPStatus.NO_CONTENT

    def _stream(self, messages: Iterator[str]) -> None:
        if not self._is_ours():
            self.send_error(HTTPStatus.FORBIDDEN)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        with suppress(OSError):  # the page was left
            for message in messages:
                self.wfile.write(f"data: {message}\n\n".encode())

    def _versions(self) -> Iterator[str]:
        while True:
            yield self.server.version()
            time.sleep(PATIENCE_S)

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing: the terminal is for faults of the deck."""


def events(show: Show) -> Iterator[str]:
    """Yield what the show tells, for as long as somebody listens."""
    run = seen = -1
    while True:
        news = show.since(run, seen, PATIENCE_S)
        seen = len(news.events) + (seen if news.run == run else 0)
        run = news.run
        yield json.dumps(asdict(news))
