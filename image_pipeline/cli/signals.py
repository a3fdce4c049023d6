"""Ctrl-C, SIGTERM, SIGHUP: once to finish what has begun, twice to stop."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event
from types import FrameType

NOTICE = "finishing what has begun; again (Ctrl-C) to stop at once"


def _write() -> None:
    with suppress(OSError):  # nobody reads it any more
        os.write(2, f"\n{NOTICE}\n".encode())


class Stop(Event):
    """Set by the first signal; `announce` says so, and a display may know
    a better place on the screen for it."""

    announce: Callable[[], None] = staticmethod(_write)


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Yield an event that the first signal sets; the second one raises.

    What it raises is KeyboardInterrupt, as Ctrl-C does by default. A SIGHUP
    that is ignored, as under nohup(1), stays so.
    """
    stop = Stop()

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            signal.default_int_handler(number, frame)
        stop.set()
        stop.announce()

    before = {number: signal.signal(number, ask) for number in _ending()}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is ask:  # else ignored by now
                signal.signal(number, handler)


def ignore_signals() -> None:
    """Ignore signals during the short clean-up after the summary."""
    for number in _ending():
        signal.signal(number, signal.SIG_IGN)


def _ending() -> list[signal.Signals]:
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return numbers
