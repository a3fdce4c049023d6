"""Ctrl-C and SIGTERM: once to finish what has begun, twice to stop."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType


@contextmanager
def stop_on_signals() -> Iterator[Event]:
    """Lend an event that SIGINT and SIGTERM set; the second one raises.

    What it raises is KeyboardInterrupt, as Ctrl-C does by default.
    """
    stop = Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            signal.default_int_handler(number, frame)
        stop.set()
        sys.stderr.write(
            "\nfinishing what has begun; again (Ctrl-C) to stop at once\n"
        )

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, ask) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
