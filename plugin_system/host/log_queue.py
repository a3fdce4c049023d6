"""Between plugins that print and a logger that may be slow, or may raise.

A handler of the host may block for seconds, raise, or call the executor. So
lines wait in a queue with a bound, and a thread that holds no lock of ours
hands them on. What finds no room is counted, and told when there is room.
"""

import logging
import threading
from contextlib import suppress
from queue import SimpleQueue

MAX_WAITING = 1_000  # lines, of all plugins together
FLUSH_S = 0.5  # what a logger gets at the end
MORE = "... and %d lines more, not logged in time"

Line = tuple[logging.Logger, int, str, dict[str, object]]


class LogQueue:
    """The thread that logs; `close` gives it a moment, and no more."""

    def __init__(self) -> None:
        # A SimpleQueue, since a signal handler may interrupt a `put`.
        self._lines: SimpleQueue[Line | None] = SimpleQueue()
        self._dropped = 0
        run, name = self._run, "plugin log"
        self._thread = threading.Thread(target=run, name=name, daemon=True)
        self._thread.start()

    def put(
        self, logger: logging.Logger, level: int, text: str, **extra: object
    ) -> None:
        """Never waits. `extra` become fields of the log record."""
        if self._lines.qsize() < MAX_WAITING:
            self._lines.put((logger, level, text, extra))
        else:
            self._dropped += 1

    def close(self) -> None:
        self._lines.put(None)
        join(self._thread, FLUSH_S)

    def _run(self) -> None:
        while line := self._lines.get():
            logger, level, text, extra = line
            # Whatever a filter or a handler of the host does.
            with suppress(BaseException):
                logger.log(level, "%s", text, extra=extra)
            if self._dropped and self._lines.empty():
                dropped, self._dropped = self._dropped, 0
                with suppress(BaseException):
                    logger.log(level, MORE, dropped, extra=extra)


def join(thread: threading.Thread, timeout: float) -> None:
    """Wait for `thread`, unless it is the one that drops the executor."""
    if thread is not threading.current_thread():
        thread.join(timeout)
