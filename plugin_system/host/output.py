"""What plugins print: every line to a logger, the last ones kept.

One thread reads the pipes of all plugins, always: a plugin whose pipe is
full would hang in its next print. Lines on stdout are logged as INFO and
lines on stderr as WARNING, to the logger `plugin_system.plugin.NAME`, with
`plugin` and `call_id` in the record. A surplus of lines is counted and told.
"""

import logging
import os
import selectors
import threading
import time
from collections import deque
from contextlib import suppress
from typing import IO

from plugin_system.errors import printable
from plugin_system.host.linux import Flag
from plugin_system.host.log_queue import LogQueue, join

KEPT_LINES = 20
MAX_LINE_BYTES = 8192  # a longer line is logged in pieces
READ_BYTES = 65536  # what a pipe holds
LAST_READS = 16  # of a pipe that is about to be closed
LINES_PER_S = 1_000  # of one pipe

# A library is silent until its user sets up logging.
logging.getLogger("plugin_system").addHandler(logging.NullHandler())


class Stream:
    """One pipe of one plugin."""

    def __init__(
        self, pipe: IO[bytes], name: str, level: int, lines: LogQueue
    ) -> None:
        os.set_blocking(pipe.fileno(), False)
        self.pipe = pipe
        self.call_id = 0
        self._name = name
        self._log = logging.getLogger(f"plugin_system.plugin.{name}")
        self._level = level
        self._seen = 0  # lines, since `_renewed`
        self._renewed = time.monotonic()
        self._lines = lines
        self._kept: deque[bytes] = deque(maxlen=KEPT_LINES)
        self._begun = b""

    def last_lines(self) -> list[str]:
        return [_text(line) for line in self._kept]

    def feed(self, data: bytes) -> None:
        *lines, self._begun = (self._begun + data).split(b"\n")
        if len(self._begun) > MAX_LINE_BYTES or (self._begun and not data):
            lines.append(self._begun)
            self._begun = b""
        self._kept += (line[-MAX_LINE_BYTES:] for line in lines[-KEPT_LINES:])
        if time.monotonic() - self._renewed >= 1 or not data:
            self._tell_surplus()
        for line in lines[: max(0, LINES_PER_S - self._seen)]:
            for at in range(0, len(line) or 1, MAX_LINE_BYTES):
                self._put(_text(line[at : at + MAX_LINE_BYTES]))
        self._seen += len(lines)

    def _tell_surplus(self) -> None:
        if self._seen > LINES_PER_S:
            surplus = self._seen - LINES_PER_S
            why = f"{LINES_PER_S} a second are logged"
            self._put(f"... and {surplus} lines more; {why}")
        self._seen, self._renewed = 0, time.monotonic()

    def _put(self, text: str) -> None:
        fields = {"plugin": self._name, "call_id": self.call_id}
        self._lines.put(self._log, self._level, text, **fields)


def _text(line: bytes) -> str:
    return printable(line.decode(errors="replace"))


class OutputReader:
    """The thread that reads; `close` ends it."""

    def __init__(self) -> None:
        self.lines = LogQueue()
        self._selector = selectors.DefaultSelector()
        # No pipe is closed while it is read; but a signal handler may close
        # all of them while its thread is in here.
        self._lock = threading.RLock()
        self._closing = Flag()
        self._selector.register(self._closing.fd, selectors.EVENT_READ)
        run, name = self._run, "plugin output"
        self._thread = threading.Thread(target=run, name=name, daemon=True)
        self._thread.start()

    def add(self, stream: Stream) -> None:
        with self._lock:
            self._selector.register(stream.pipe, selectors.EVENT_READ, stream)

    def catch_up(self, stream: Stream) -> None:
        """Read what was printed so far, however late our thread is."""
        with self._lock:
            for _ in range(LAST_READS):
                if not self._read(stream):
                    break

    def drop(self, stream: Stream) -> None:
        """Read the rest of a pipe that may have no end, and close it."""
        with self._lock:
            self.catch_up(stream)
            stream.feed(b"")
            self._forget(stream)
            stream.pipe.close()

    def close(self) -> None:
        self._closing.set()
        join(self._thread, 1)
        self._selector.close()
        self._closing.close()
        self.lines.close()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                stream: Stream | None = key.data
                if stream is None:
                    return
                with self._lock:
                    self._read(stream)

    def _read(self, stream: Stream) -> bool:
        """Return whether there was something; to be called with the lock."""
        if stream.pipe.closed:
            return False
        try:
            data = os.read(stream.pipe.fileno(), READ_BYTES)
        except BlockingIOError:
            return False
        stream.feed(data)
        if not data:
            self._forget(stream)
        return bool(data)

    def _forget(self, stream: Stream) -> None:
        with suppress(KeyError, ValueError):  # it is forgotten already
            self._selector.unregister(stream.pipe)
