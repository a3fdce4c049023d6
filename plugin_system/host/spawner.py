"""The thread in which all plugins of an executor are born.

The kernel takes the end of that thread for the death of their parent
(prctl(2), PR_SET_PDEATHSIG). So it is our own, and a daemon: a pool's thread
ends when the main thread does, with the program still at work in others.
And no signal handler runs in it, so nothing that is half made is lost.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from plugin_system.host.log_queue import join

LEAVING_S = 0.5  # an order under way may be a slow start

T = TypeVar("T")


class Spawner:
    """Raises RuntimeError where the system refuses a thread."""

    def __init__(self) -> None:
        self._orders: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        # A signal handler may close it while its own thread is in `run`.
        self._lock = threading.RLock()
        self._closed = False
        run, name = self._run, "plugin spawner"
        self._thread = threading.Thread(target=run, name=name, daemon=True)
        self._thread.start()

    def run(
        self, future: Future[T], function: Callable[..., T], *arguments: Any
    ) -> T:
        """Return what `function` returns in that thread, or raise as it.

        A caller that Ctrl-C interrupts here finds the result in `future`.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("the executor is closed")
            self._orders.put(partial(fulfil, future, function, *arguments))
        return future.result()

    def close(self, last: Callable[[], object]) -> None:
        """End the thread with `last`, which may wait longer than we do."""
        with self._lock:
            self._closed = True
            self._orders.put(partial(fulfil, Future(), last))
            self._orders.put(None)
        join(self._thread, LEAVING_S)

    def _run(self) -> None:
        while order := self._orders.get():
            order()


def fulfil(
    future: Future[T], function: Callable[..., T], *arguments: Any
) -> None:
    """Hand over what `function` returns or raises."""
    with suppress(InvalidStateError):  # it was cancelled
        try:
            future.set_result(function(*arguments))
        except BaseException as error:  # noqa: BLE001 - it is handed over
            future.set_exception(error)
