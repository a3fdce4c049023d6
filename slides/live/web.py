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
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from slides.live.shows import News, Show, Shows

HEADER = "X-Live"
VERBS = ("kill", "call", "slow", "tick")
PATIENCE_S = 0.5  # then a stream says that there is nothing new


class Server(ThreadingHTTPServer):
    """The deck and its shows, whose processes end with it."""

    def __init__(self, *args: Any) -> None:
        self.shows = Shows()
        super().__init__(*args)

    def server_close(self) -> None:
        super().server_close()
        self.shows.close()

    def handle_error(self, *request: Any) -> None:
        """Ignore a page that was left before it had loaded."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*request)


class Handler(SimpleHTTPRequestHandler):
    """Answers with a file of the deck, a stream, or what a show did."""

    server: Server

    def __init__(
        self, version: Callable[[], str], *args: Any, directory: str
    ) -> None:
        self.version = version
        super().__init__(*args, directory=directory)

    def do_GET(self) -> None:
        show = find(self.server.shows, self.path)
        if self.path != "/version" and not show:
            super().do_GET()
        elif not is_ours(dict(self.headers), self.server.server_port):
            self.send_error(HTTPStatus.FORBIDDEN)
        else:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            with suppress(OSError):  # the page was left
                if show:
                    stream(show, self.wfile.write)
                self._send_versions()

    def do_POST(self) -> None:
        headers = dict(self.headers)
        status = HTTPStatus.FORBIDDEN
        if is_ours(headers, self.server.server_port):
            status = command(self.server.shows, self.path, headers)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send_versions(self) -> None:
        while True:
            self.wfile.write(f"data: {self.version()}\n\n".encode())
            time.sleep(PATIENCE_S)

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing: the terminal is for faults of the deck."""


def is_ours(headers: Mapping[str, str], port: int) -> bool:
    """Return whether a request comes from the deck itself."""
    ours = {f"127.0.0.1:{port}", f"localhost:{port}"}
    host, origin = headers.get("Host", ""), headers.get("Origin")
    return host in ours and origin in (None, f"http://{host}")


def find(shows: Shows, path: str) -> Show | None:
    """Return the show that a path asks for."""
    parts = urlsplit(path).path.split("/")
    if len(parts) < 3 or parts[1] != "live":
        return None
    return shows.get(parts[2])


def command(
    shows: Shows, path: str, headers: Mapping[str, str]
) -> HTTPStatus:
    """Do what a POST asks for; tell how it went."""
    if headers.get(HEADER) != "1":
        return HTTPStatus.FORBIDDEN
    show, url = find(shows, path), urlsplit(path)
    *_, verb = url.path.split("/")
    worker = parse_qs(url.query).get("worker", [""])[0]
    if show is None or url.path.count("/") != 3:
        return HTTPStatus.NOT_FOUND
    if verb == "start":
        show.start()
    elif verb in VERBS and worker in show.workers():
        show.tell(f"{verb} {worker}")
    else:
        return HTTPStatus.NOT_FOUND
    return HTTPStatus.NO_CONTENT


def stream(show: Show, send: Callable[[bytes], object]) -> None:
    """Send what the show tells until `send` fails, because nobody listens."""
    run = seen = -1
    while True:
        news = show.since(run, seen, PATIENCE_S)
        seen = len(news.events) + (seen if news.run == run else 0)
        run = news.run
        send(_message(news))


def _message(news: News) -> bytes:
    body = {"run": news.run, "now": news.now, "events": list(news.events)}
    return b"data: " + json.dumps(body).encode() + b"\n\n"
