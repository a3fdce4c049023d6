"""Ctrl-C and SIGTERM: once to finish what has begun, twice to stop."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event
from types import FrameType

_NUMBERS = (signal.SIGINT, signal.SIGTERM)
_NOTICE = b"\nfinishing what has begun; again (Ctrl-C) to stop at once\n"


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
        with suppress(OSError):  # nobody reads it any more
            os.write(2, _NOTICE)

    before = [signal.signal(number, ask) for number in _NUMBERS]
    try:
        yield stop
    finally:
        for number, handler in zip(_NUMBERS, before, strict=True):
            if signal.getsignal(number) is ask:  # else all is said
                signal.signal(number, handler)


def ignore_signals() -> None:
    """For what is left to do when all is said, and takes a moment only."""
    for number in _NUMBERS:
        signal.signal(number, signal.SIG_IGN)
