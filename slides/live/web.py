"""What a page may ask of the shows, and which pages may.

    GET  /live/NAME                    events, as Server-Sent Events
    POST /live/NAME/start              start it, from the beginning
    POST /live/NAME/kill?worker=WHO    kill a worker of this run

A click kills a process, so not every page in the browser may ask: Host and
Origin have to be those of the deck, and a command needs a header that a form
of another site cannot send.
"""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from slides.live.shows import News, Show, Shows

HEADER = "X-Live"
PATIENCE_S = 0.5


def is_ours(headers: Mapping[str, str], port: int) -> bool:
    """Tell whether a request comes from the deck itself."""
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
    if show and url.path.endswith("/start") and url.path.count("/") == 3:
        show.start()
        return HTTPStatus.NO_CONTENT
    if show and url.path.endswith("/kill") and url.path.count("/") == 3:
        worker = parse_qs(url.query).get("worker", [""])[0]
        if worker in show.workers():
            show.tell(f"kill {worker}")
            return HTTPStatus.NO_CONTENT
    return HTTPStatus.NOT_FOUND


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
