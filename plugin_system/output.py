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

KEPT_LINES = 20
MAX_LINE_BYTES = 8192  # a longer line is logged in pieces


class Stream:
    """One pipe of one plugin. `ended` is set at its end of file."""

    def __init__(self, pipe: IO[bytes], name: str, level: int) -> None:
        self.pipe = pipe
        self.ended = threading.Event()
        self._log = logging.getLogger(f"plugin_system.plugin.{name}")
        self._level = level
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
            self._kept.append(line[:MAX_LINE_BYTES])
            if self._log.isEnabledFor(self._level):
                text = line[:MAX_LINE_BYTES].decode(errors="replace")
                self._log.log(self._level, "%s", text)


class OutputReader:
    """The thread that reads; `close` ends it."""

    def __init__(self) -> None:
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
        os.set_blocking(stream.pipe.fileno(), False)
        with self._lock:
            self._selector.register(stream.pipe, selectors.EVENT_READ, stream)

    def drop(self, stream: Stream, patience: float) -> None:
        """Close a pipe at its end of file, or after `patience` seconds.

        Somebody else may hold its other end for ever: a grandchild.
        """
        stream.ended.wait(patience)
        with self._lock, suppress(KeyError, ValueError):
            self._selector.unregister(stream.pipe)
        stream.pipe.close()

    def close(self) -> None:
        os.close(self._closing)
        self._thread.join(timeout=1)
        self._selector.close()
        os.close(self._wake)

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                stream: Stream | None = key.data
                if stream is None:
                    return
                with self._lock:
                    if not stream.pipe.closed:
                        self._read(stream)

    def _read(self, stream: Stream) -> None:
        try:
            data = os.read(stream.pipe.fileno(), 65536)
        except BlockingIOError:
            return
        stream.feed(data)
        if not data:
            with suppress(KeyError):
                self._selector.unregister(stream.pipe)
            stream.ended.set()
