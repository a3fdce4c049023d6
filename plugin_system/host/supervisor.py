"""Keeps one plugin going: starts it on demand, one call at a time.

A plugin that was found dead between two calls is started again without a
word to the caller, since nothing was sent. A call is sent again only for a
method that its plugin calls idempotent, once, and within the same deadline.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
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
from plugin_system.host.incarnation import Host, Incarnation, Request
from plugin_system.host.restarts import RestartBudget, RestartPolicy
from plugin_system.registry import Registration

log = logging.getLogger(__name__)
Begin = Callable[[], bool] | None  # when the wait is over: is it wanted?


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
        # Re-entrant: a signal handler may close all that its thread holds.
        self._turn = threading.RLock()
        self._caller = 0  # the thread that is in a call
        self._incarnation: Incarnation | None = None
        self._incompatible = ""  # why
        self._starts = 0
        self._results = 0
        self._last_error = ""

    def call(
        self, request: Request, deadline: float, begin: Begin = None
    ) -> Any:
        """Return the result of one call; see `Executor.call`."""
        return self._in_turn(self._call, deadline, request, begin)

    def start(self, deadline: float) -> None:
        """Start the plugin, unless it runs, and wait until it is ready."""
        self._in_turn(self._living, deadline)

    def stop(self, deadline: float) -> None:
        """End the plugin in order, and reset the count of its deaths."""
        self._in_turn(self._stop, deadline)

    def _in_turn(
        self, act: Callable[..., Any], deadline: float, *more: Any
    ) -> Any:
        """Act after other callers, and note the result."""
        if self.is_called_by_us():
            why = "this signal handler has interrupted another call to it"
            raise PluginUnavailable(self._name, why, 1.0)
        try:
            if not self._turn.acquire(timeout=_left(deadline)):
                why = "other calls were before it until the deadline"
                raise PluginTimeout(self._name, why)
            try:
                self._caller = threading.get_ident()
                try:
                    return act(deadline, *more)
                finally:
                    self._tidy_up()  # also where Ctrl-C strikes
            finally:  # last: until then no signal handler closes the plugin
                self._caller = 0
        except CallError as error:
            self._last_error = str(error)
            if self._host.closing.is_set():
                raise self._closed(error.maybe_done) from error
            raise
        except (OSError, ZMQError, RuntimeError) as error:
            # From the edges: no descriptor, memory or thread is left.
            if self._host.closing.is_set():
                raise self._closed(maybe_done=True) from error
            self._last_error = why = f"the system says: {error}"
            raise PluginUnavailable(
                self._name, why, 1.0, maybe_done=True
            ) from error
        finally:
            with suppress(RuntimeError):  # it is not ours
                self._turn.release()

    def _stop(self, deadline: float) -> None:
        self._let_go(deadline)
        self._incompatible = ""
        self._budget = RestartBudget(self._budget.policy)

    def _call(self, deadline: float, request: Request, begin: Begin) -> Any:
        if begin and not begin():
            raise CancelledError
        method = request[0]
        for last_try in (False, True):
            plugin = self._living(deadline)
            known = plugin.idempotent
            if method and method not in known:
                others = ", ".join(known) or "none"
                why = f"it has no method {method!r}; it has {others}"
                raise NoSuchMethod(self._name, why)
            try:
                result = plugin.call(request, deadline)
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
        if self._incompatible:
            # A new one each time: an exception collects tracebacks.
            raise IncompatiblePlugin(self._name, self._incompatible)
        plugin = self._incarnation
        if plugin and plugin.ready:
            if not plugin.process.has_died():
                return plugin
            idle = "between two calls"
            self._lost(plugin.process.crashed(idle, maybe_done=False))
            plugin = None
        if plugin is None:
            self._wait_for_leave_to_start(deadline)
            self._starts += 1
            plugin = self._give_birth()
            if self._host.closing.is_set():  # and `close` did not see it
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

    def _give_birth(self) -> Incarnation:
        born: Future[Incarnation] = Future()
        try:
            self._incarnation = self._host.spawner.run(
                born, Incarnation, self._registration, self._host
            )
            return self._incarnation
        except (OSError, ZMQError, RuntimeError) as error:
            why = f"no process could be started: {error}"
            raise PluginUnavailable(self._name, why, 1.0) from None
        except BaseException:  # Ctrl-C: what is born has no owner
            born.add_done_callback(_abandon)
            raise

    def _wait_for_leave_to_start(self, deadline: float) -> None:
        now = time.monotonic()
        wait = self._budget.wait(now)
        if wait and (self._budget.broken or now + wait > deadline):
            why = "it died too often" if self._budget.broken else "it died"
            why += f" and may be started in {wait:.1f} s; last: "
            raise PluginUnavailable(self._name, why + self._last_error, wait)
        if poll([self._host.closing.fd], wait):
            raise self._closed()

    def _lost(self, error: CallError) -> None:
        self._host.output.lines.put(log, logging.WARNING, str(error))
        self._last_error = str(error)
        self._budget.died(time.monotonic())
        self._tidy_up()

    def _tidy_up(self) -> None:
        if self._incarnation and self._incarnation.ended:
            self._incarnation.end()
            self._incarnation = None

    def _closed(self, maybe_done: bool = False) -> PluginUnavailable:
        why = "the executor is closed"
        return PluginUnavailable(self._name, why, maybe_done=maybe_done)

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
            last_error=self._last_error,
        )

    def is_called_by_us(self) -> bool:
        """Return whether this thread is in a call, so in a signal handler."""
        return self._caller == threading.get_ident()

    def ask_to_leave(self) -> None:
        """Ask an idle plugin to leave, kill a busy one. Does not wait."""
        if incarnation := self._incarnation:
            process = incarnation.process
            process.kill() if self._caller else process.leave()

    def close(self, asked: float, deadline: float) -> None:
        """End the plugin, which was asked to leave at `asked`."""
        if not self._turn.acquire(timeout=_left(deadline)):
            why = f"{self._name}: still in a call; left behind"
            self._host.output.lines.put(log, logging.ERROR, why)
            return
        try:
            self._let_go(asked + self._registration.leave_timeout)
        finally:
            self._turn.release()

    def _let_go(self, until: float) -> None:
        """Let an idle plugin leave within its grace, then kill it."""
        plugin, self._incarnation = self._incarnation, None
        if not plugin:
            return
        try:
            plugin.process.leave()
            wait = min(_left(until), self._registration.leave_timeout)
            poll([plugin.process.death], wait)
        finally:
            plugin.end()


def _abandon(born: Future[Incarnation]) -> None:
    if not born.exception():
        born.result().end()


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())
