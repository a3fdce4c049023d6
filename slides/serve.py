"""Serve the deck on loopback; the page reloads when a source changes.

The page listens to one stream for as long as it is open. The thread that
serves this stream rebuilds the deck: no watcher, nothing to stop. Beside it
are the live shows, whose processes end with the server.
"""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from slides import DECK, DeckError
from slides.live.web import Handler, Server
from slides.site import build

TICK_S = 0.02


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
        """Return the deck's version, rebuilt if a source has changed.

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


class Files(Handler):
    """Gives files of the deck to its own page, and nothing else.

    A page of another site can let its name point to this machine, and would
    read along; its Host tells. A port may have been forwarded to another.
    """

    timeout = 5.0  # seconds in which a connection says or takes nothing

    def send_head(self) -> BytesIO | BinaryIO | None:
        host, _, _ = self.headers.get("Host", "").partition(":")
        if host not in ("127.0.0.1", "localhost"):
            self.send_error(HTTPStatus.FORBIDDEN)
            return None
        with suppress(ValueError):  # NUL, or http://[
            path = os.path.realpath(self.translate_path(self.path))
            if Path(path).is_relative_to(os.path.realpath(self.directory)):
                return super().send_head()
        self.send_error(HTTPStatus.NOT_FOUND)
        return None


def server(live: Live, port: int) -> Server:
    """Bind `port` on loopback (0: any) and return the server, not running."""
    live.version()
    here = partial(Files, directory=str(live.out))
    return Server(live.version, ("127.0.0.1", port), here)
