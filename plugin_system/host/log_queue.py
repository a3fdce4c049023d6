"""Between plugins that print and a logger that may be slow, or may raise.

What a host does with a line is the host's code: a handler may block for
seconds, raise, or call the executor. So lines wait in a queue with a bound,
and one thread, which holds no lock of ours, hands them on. What finds no
room is counted, and told when there is room again.
"""

import logging
import threading
from contextlib import suppress
from queue import Full, Queue

MAX_WAITING = 1_000  # lines, of all plugins together
FLUSH_S = 0.5  # what a logger gets at the end

Line = tuple[logging.Logger, int, str]


class LogQueue:
    """The thread that logs; `close` gives it a moment, and no more."""

    def __init__(self) -> None:
        self._lines: Queue[Line | None] = Queue(MAX_WAITING)
        self._dropped = 0
        self._thread = threading.Thread(
            target=self._run, name="plugin log", daemon=True
        )
        self._thread.start()

    def put(self, logger: logging.Logger, level: int, text: str) -> None:
        """Never waits."""
        try:
            self._lines.put_nowait((logger, level, text))
        except Full:
            self._dropped += 1

    def close(self) -> None:
        with suppress(Full):
            self._lines.put(None, timeout=FLUSH_S)
        self._thread.join(FLUSH_S)

    def _run(self) -> None:
        while True:
            line = self._lines.get()
            if line is None:
                return
            logger, level, text = line
            with suppress(Exception):  # a filter or a handler of the host
                logger.log(level, "%s", text)
            if self._dropped and self._lines.empty():
                dropped, self._dropped = self._dropped, 0
                with suppress(Exception):
                    logger.log(level, "... and %d lines more", dropped)
