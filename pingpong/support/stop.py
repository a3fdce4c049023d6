"""Stop: one signal that wakes every poll at once.

zmq_poll watches file descriptors too, so Stop is one that becomes readable
and stays so: it wakes every poll in every thread. `signal.set_wakeup_fd`
writes to it, so a signal that comes just before the poll is not missed.
"""

import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Self

GRACE = 0.5  # seconds: timeout(1) sends its signal twice at once


def ending_signals() -> list[signal.Signals]:
    """Ctrl-C, SIGTERM, a closed terminal; not that one under nohup(1)."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return numbers


class Stop:
    """A descriptor to poll, `fd`; `set` it from any thread."""

    def __init__(self) -> None:
        self._out, self._in = socket.socketpair()
        self._in.setblocking(False)
        self.fd = self._out.fileno()  # what a poller registers
        self.interrupted = 0.0  # when a signal that ends came; no deadline

    def set(self) -> None:
        """Wake every poll, now and from now on."""
        with suppress(BlockingIOError):  # it is full of earlier calls
            self._in.send(b"\0")

    def wait(self, seconds: float) -> bool:
        """Wait for at most `seconds`; return whether it was set."""
        poll = select.poll()  # select.select fails past descriptor 1023
        poll.register(self.fd, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    @contextmanager
    def on_signals(self, deadline: float = 0) -> Iterator[None]:
        """Set by the first of `ending_signals`; one after GRACE kills.

        Also set after `deadline` seconds, if it is not 0. After the block
        more signals are ignored: they would only change the exit status.
        """

        def handle(number: int, _frame: object) -> None:
            now = time.monotonic()
            self.interrupted = self.interrupted or now
            if now > self.interrupted + GRACE:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)

        old = {n: signal.signal(n, handle) for n in ending_signals()}
        old[signal.SIGALRM] = signal.signal(signal.SIGALRM, lambda *_: None)
        descriptor = signal.set_wakeup_fd(self._in.fileno())
        signal.setitimer(signal.ITIMER_REAL, deadline)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.set_wakeup_fd(descriptor)
            for number, handler in old.items():
                after = signal.SIG_IGN if self.interrupted else handler
                signal.signal(number, after)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._in.close()
        self._out.close()


@contextmanager
def on_quit(show: Callable[[], None]) -> Iterator[None]:
    """Call `show` at each SIGQUIT (Ctrl-\\); a handler would wake Stop."""
    if sys.platform == "darwin":  # it has no sigwaitinfo
        yield
        return
    quits = {signal.SIGQUIT}

    def listen() -> None:  # until this process itself sends the signal
        while signal.sigwaitinfo(quits).si_pid != os.getpid():
            show()

    before = signal.pthread_sigmask(signal.SIG_BLOCK, quits)
    thread = Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.pthread_kill(thread.ident or 0, signal.SIGQUIT)
        thread.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
