"""What plugins print: every line to a logger, the last ones kept.

One thread reads the pipes of all plugins, always: a plugin whose pipe is
full would hang in its next print. Lines on stdout are logged as INFO and
lines on stderr as WARNING, to the logger `plugin_system.plugin.NAME`.
"""

import logging
import os
import selectors
import threading
from collections import deque
from contextlib import suppress
from typing import IO

from plugin_system.host.log_queue import LogQueue

KEPT_LINES = 20
MAX_LINE_BYTES = 8192  # a longer line is logged in pieces
READ_BYTES = 65536  # what a pipe holds
LAST_READS = 16  # of a pipe that is about to be closed

# A library is silent until its user sets up logging.
logging.getLogger("plugin_system").addHandler(logging.NullHandler())


class Stream:
    """One pipe of one plugin."""

    def __init__(
        self, pipe: IO[bytes], name: str, level: int, lines: LogQueue
    ) -> None:
        os.set_blocking(pipe.fileno(), False)
        self.pipe = pipe
        self.ended = False  # at its end of file
        self._log = logging.getLogger(f"plugin_system.plugin.{name}")
        self._level = level
        self._lines = lines
        self._kept: deque[bytes] = deque(maxlen=KEPT_LINES)
        self._begun = b""

    def last_lines(self) -> list[str]:
        return [line.decode(errors="replace") for line in self._kept]

    def feed(self, data: bytes) -> None:
        *lines, self._begun = (self._begun + data).split(b"\n")
        if len(self._begun) > MAX_LINE_BYTES or (self._begun and not data):
            lines.append(self._begun)
            self._begun = b""
        for line in lines:
            for at in range(0, len(line) or 1, MAX_LINE_BYTES):
                piece = line[at : at + MAX_LINE_BYTES]
                self._kept.append(piece)
                if self._log.isEnabledFor(self._level):
                    text = piece.decode(errors="replace")
                    self._lines.put(self._log, self._level, text)


class OutputReader:
    """The thread that reads; `close` ends it."""

    def __init__(self) -> None:
        self.lines = LogQueue()
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()  # no pipe is closed while it is read
        self._wake, wake = os.pipe()
        self._closing = wake
        self._selector.register(self._wake, selectors.EVENT_READ, None)
        self._thread = threading.Thread(
            target=self._run, name="plugin output", daemon=True
        )
        self._thread.start()

    def add(self, stream: Stream) -> None:
        with self._lock:
            self._selector.register(stream.pipe, selectors.EVENT_READ, stream)

    def drop(self, stream: Stream) -> None:
        """Read what is left in a pipe, and close it.

        All that a dead process wrote is in there; on a busy machine our
        thread may not have come to it. It may have no end of file: somebody
        else, a grandchild, may hold its other end for ever.
        """
        with self._lock:
            for _ in range(LAST_READS):
                if stream.ended or not self._read(stream):
                    break
            stream.feed(b"")
            self._forget(stream)
            stream.pipe.close()

    def close(self) -> None:
        os.close(self._closing)
        self._thread.join(timeout=1)
        self._selector.close()
        os.close(self._wake)
        self.lines.close()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                stream: Stream | None = key.data
                if stream is None:
                    return
                with self._lock:
                    if not stream.pipe.closed:
                        self._read(stream)

    def _read(self, stream: Stream) -> bool:
        """Tell whether there was something; to be called with the lock."""
        try:
            data = os.read(stream.pipe.fileno(), READ_BYTES)
        except BlockingIOError:
            return False
        stream.feed(data)
        if not data:
            stream.ended = True
            self._forget(stream)
        return bool(data)

    def _forget(self, stream: Stream) -> None:
        with suppress(KeyError):  # it is forgotten already
            self._selector.unregister(stream.pipe)
