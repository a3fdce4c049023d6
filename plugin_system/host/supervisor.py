"""Keeps one plugin going: starts it on demand, one call at a time.

A plugin that was found dead between two calls is started anew without a
word to the caller, since nothing was sent. A call that had been sent is
sent again only for a method that its plugin calls idempotent, once, and
within the same deadline.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from zmq import ZMQError

from plugin_system.call import poll
from plugin_system.errors import (
    CallError,
    IncompatiblePlugin,
    NoSuchMethod,
    PluginCrashed,
    PluginError,
    PluginProtocolError,
    PluginTimeout,
    PluginUnavailable,
)
from plugin_system.host.incarnation import Host, Incarnation
from plugin_system.host.restarts import RestartBudget, RestartPolicy
from plugin_system.registry import Registration

log = logging.getLogger(__name__)


class State(StrEnum):
    STOPPED = "stopped"  # will be started by the next call
    STARTING = "starting"
    READY = "ready"
    BROKEN = "broken"  # its restarts are spent; see retry_after
    INCOMPATIBLE = "incompatible"


@dataclass(frozen=True)
class Status:
    """What is known about a plugin at one moment."""

    state: State
    pid: int | None
    version: str
    methods: tuple[str, ...]
    starts: int
    results: int
    errors: dict[str, int]  # by the name of the error
    last_error: str


class Supervisor:
    """The host's side of one registered plugin. Thread-safe."""

    def __init__(
        self, registration: Registration, host: Host, policy: RestartPolicy
    ) -> None:
        self._registration = registration
        self._host = host
        self._name = registration.name
        self._budget = RestartBudget(policy)
        self._turn = threading.Lock()
        self._caller = 0  # the thread whose turn it is
        self._incarnation: Incarnation | None = None
        self._incompatible = ""  # why
        self._starts = 0
        self._results = 0
        self._errors: Counter[str] = Counter()
        self._last_error = ""

    def call(
        self, method: str, arguments: tuple[Any, ...], deadline: float
    ) -> Any:
        """Return the result of one call; see `Executor.call`."""
        with self._our_turn(deadline):
            return self._call(method, arguments, deadline)

    def start(self, deadline: float) -> None:
        """Start the plugin, unless it runs, and wait until it is ready."""
        with self._our_turn(deadline):
            self._living(deadline)

    @contextmanager
    def _our_turn(self, deadline: float) -> Iterator[None]:
        """Wait for other callers, and note what comes of it."""
        if not self._turn.acquire(timeout=_left(deadline)):
            raise PluginTimeout(
                self._name, "other calls were before it until the deadline"
            )
        try:
            self._caller = threading.get_ident()
            yield
        except CallError as error:
            self._note(error)
            if self._host.closing.is_set():
                raise self._closed(error.maybe_done) from error
            raise
        except (OSError, ZMQError, RuntimeError) as error:
            # From the edges: no descriptor, memory or thread is left.
            if self._host.closing.is_set():
                raise self._closed(maybe_done=True) from error
            unavailable = PluginUnavailable(
                self._name, f"the system says: {error}", retry_after=1.0
            )
            unavailable.maybe_done = True
            self._note(unavailable)
            raise unavailable from error
        finally:
            self._caller = 0
            if self._incarnation and self._incarnation.ended:
                self._incarnation = None  # by its handshake, or by Ctrl-C
            self._turn.release()

    def _note(self, error: CallError) -> None:
        self._errors[type(error).__name__] += 1
        self._last_error = str(error)

    def _call(
        self, method: str, arguments: tuple[Any, ...], deadline: float
    ) -> Any:
        for last_try in (False, True):
            plugin = self._living(deadline)
            known = plugin.idempotent
            if method and method not in known:
                raise NoSuchMethod(
                    self._name,
                    f"it has no method {method!r}; it has "
                    f"{', '.join(known) or 'none'}",
                )
            try:
                result = plugin.call(method, arguments, deadline)
            except (PluginCrashed, PluginProtocolError, PluginTimeout) as e:
                if not plugin.ended:
                    raise  # it was too late to send, so nothing was lost
                self._lost(e)
                again = known.get(method)
                if last_try or not again or isinstance(e, PluginTimeout):
                    raise
            except PluginError:
                self._budget.answered()
                if method:
                    raise
                return None  # a ping: that it answers at all is the answer
            else:
                self._budget.answered()
                self._results += 1
                return result
        raise AssertionError("the last try returns or raises")

    def _living(self, deadline: float) -> Incarnation:
        if self._host.closing.is_set():
            raise self._closed()
        plugin = self._incarnation
        if plugin and plugin.ready and not plugin.process.has_died():
            return plugin
        if self._incompatible:
            # A new one each time: an exception collects tracebacks.
            raise IncompatiblePlugin(self._name, self._incompatible)
        if plugin and plugin.ready:
            self._lost(plugin.died_idle())
            plugin = None
        if plugin is None:
            self._wait_for_leave_to_start(deadline)
            self._starts += 1
            try:
                plugin = Incarnation(self._registration, self._host)
            except (OSError, ZMQError, RuntimeError) as error:
                raise PluginUnavailable(
                    self._name,
                    f"no process could be started: {error}",
                    retry_after=1.0,
                ) from None
            self._incarnation = plugin
            if self._host.closing.is_set():
                # `close` looked for it before it was there.
                plugin.process.kill()
        try:
            plugin.wait_ready(deadline)
        except IncompatiblePlugin as error:
            self._incompatible = error.sentence
            raise
        except (PluginCrashed, PluginTimeout) as error:
            if plugin.ended:
                self._lost(error)
            raise
        return plugin

    def _wait_for_leave_to_start(self, deadline: float) -> None:
        now = time.monotonic()
        wait = self._budget.wait(now)
        if wait and (self._budget.broken or now + wait > deadline):
            why = "it died too often" if self._budget.broken else "it died"
            raise PluginUnavailable(
                self._name,
                f"{why} and may be started in {wait:.1f} s; "
                f"last: {self._last_error}",
                retry_after=wait,
            )
        if self._host.closing.wait(wait):
            raise self._closed()

    def _lost(self, error: CallError) -> None:
        self._host.output.lines.put(log, logging.WARNING, str(error))
        self._last_error = str(error)
        self._budget.died(time.monotonic())
        self._incarnation = None

    def _closed(self, maybe_done: bool = False) -> PluginUnavailable:
        error = PluginUnavailable(
            self._name, "the executor is closed", retry_after=None
        )
        error.maybe_done = maybe_done
        return error

    def status(self) -> Status:
        incarnation = self._incarnation
        ready = incarnation.ready if incarnation else None
        if self._incompatible:
            state = State.INCOMPATIBLE
        elif self._budget.broken and not ready:
            state = State.BROKEN
        elif incarnation is None:
            state = State.STOPPED
        else:
            state = State.READY if ready else State.STARTING
        return Status(
            state=state,
            pid=incarnation.process.pid if incarnation else None,
            version=ready.version if ready else "",
            methods=tuple(incarnation.idempotent) if incarnation else (),
            starts=self._starts,
            results=self._results,
            errors=dict(self._errors),
            last_error=self._last_error,
        )

    def is_called_by_us(self) -> bool:
        """Return whether this thread is in a call, so in a signal handler."""
        return self._caller == threading.get_ident()

    def ask_to_leave(self) -> None:
        """Tell an idle plugin to go, kill a busy one. Does not wait."""
        idle = self._turn.acquire(blocking=False)
        incarnation = self._incarnation
        if incarnation:
            process = incarnation.process
            process.leave() if idle else process.kill()
        if idle:
            self._turn.release()

    def close(self, deadline: float, patience: float) -> None:
        """Wait for the plugin to go until `patience`, then kill it."""
        if not self._turn.acquire(timeout=_left(deadline)):
            self._host.output.lines.put(
                log, logging.ERROR, f"{self._name}: still in a call; left"
            )
            return
        try:
            if self._incarnation:
                poll([self._incarnation.process.death], _left(patience))
        finally:
            if self._incarnation:
                self._incarnation.end()
                self._incarnation = None
            self._turn.release()


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())
