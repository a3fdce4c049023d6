"""The host: calls plugins, each a process of its own, and outlives them.

with Executor() as executor:
    executor.call("text", "count", "to be or not to be", timeout=1.0)
"""

import atexit
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar
from weakref import WeakSet

import zmq

from plugin_system.errors import CallError, NoSuchPlugin, PluginUnavailable
from plugin_system.events import Events
from plugin_system.host import linux
from plugin_system.host.incarnation import Host, Request
from plugin_system.host.output import OutputReader
from plugin_system.host.restarts import RestartPolicy
from plugin_system.host.runtime_folder import RuntimeFolder
from plugin_system.host.spawner import Spawner, fulfil
from plugin_system.host.supervisor import Status, Supervisor
from plugin_system.registry import Registration, discover

CLOSE_S = 3.0  # what `close` takes at most, beyond the plugins' grace
LONGEST_TIMEOUT_S = 1_000_000  # poll(2) counts milliseconds in an int
T = TypeVar("T")


class Executor:
    """Holds plugins and calls them. All methods are thread-safe.

    Without `registrations` it holds all that `discover` finds. A plugin is
    started by the first call that needs it. Sockets live in a private folder
    in `runtime_base`, by default XDG_RUNTIME_DIR or the temporary folder.
    Each call is told to subscribers at the endpoint `events`, if there is
    one. Raises OSError and RuntimeError where plugins could not be watched.
    """

    def __init__(
        self,
        registrations: Iterable[Registration] | None = None,
        *,
        policy: RestartPolicy | None = None,
        runtime_base: Path | None = None,
        events: str = "",
    ) -> None:
        linux.require()
        if registrations is None:
            registrations = discover()[0].values()
        registrations = list(registrations)
        if len({each.name for each in registrations}) < len(registrations):
            raise ValueError("two of the plugins have one name")
        # What is begun here is undone in reverse, by `close` or by a failure.
        with ExitStack() as born:
            self._events = Events(events)
            born.callback(self._events.close)
            folder = RuntimeFolder(runtime_base)
            born.callback(folder.close)
            output = OutputReader()
            born.callback(output.close)
            spawner = Spawner()
            context = zmq.Context()
            born.callback(spawner.close, partial(context.destroy, linger=0))
            context.max_sockets = context.get(zmq.SOCKET_LIMIT)
            closing = linux.Flag()
            born.callback(closing.close)
            self._undo = born.pop_all()
        self._host = Host(folder, context, output, spawner, closing)
        self._supervisors = {
            each.name: Supervisor(each, self._host, policy or RestartPolicy())
            for each in registrations
        }
        # A signal handler may close it during `close`, in the same thread.
        self._closing = threading.RLock()
        self._closed = False
        self._pid = os.getpid()
        _open.add(self)
        processes = sys.modules.get("multiprocessing.process")
        if processes and processes.parent_process():
            from multiprocessing.util import Finalize

            # Its processes end without atexit.
            Finalize(None, _close_all, exitpriority=0)

    def call(
        self,
        plugin: str,
        method: str,
        /,
        *arguments: Any,
        timeout: float = 5.0,
        **keywords: Any,
    ) -> Any:
        """Return what `method` of `plugin` returns for the arguments.

        `timeout` is in seconds and covers everything: waiting for other
        calls to this plugin, its start, sending, and the reply. Raises the
        `CallError`s of `plugin_system.errors`, each of which says whether
        the work may have been done; TypeError and ValueError for arguments
        that cannot be sent.
        """
        request = (method, arguments, keywords)
        return self._call(plugin, request, _deadline(timeout))

    def submit(
        self,
        plugin: str,
        method: str,
        /,
        *arguments: Any,
        timeout: float = 5.0,
        **keywords: Any,
    ) -> Future[Any]:
        """Call in a thread of its own; `timeout` counts from now.

        The future can be cancelled while the call waits for others. One
        that runs ends by its deadline, and holds its plugin no longer.
        """
        future: Future[Any] = Future()
        begins = future.set_running_or_notify_cancel
        request = (method, arguments, keywords)
        more = (request, _deadline(timeout), begins)
        return _in_thread(future, self._call, plugin, *more)

    def ping(self, plugin: str, *, timeout: float = 5.0) -> None:
        """Return when the plugin has answered; raises as `call` does."""
        self.call(plugin, "", timeout=timeout)

    def start(
        self, *plugins: str, timeout: float = 10.0
    ) -> dict[str, CallError | None]:
        """Start plugins, or all, side by side; return their errors."""
        deadline = _deadline(timeout)

        def attempt(name: str) -> CallError | None:
            try:
                self._find(name).start(deadline)
            except CallError as error:
                return error
            return None

        names = plugins or tuple(self._supervisors)
        tried = [_in_thread(Future(), attempt, name) for name in names]
        return dict(zip(names, (t.result() for t in tried), strict=True))

    def stop(self, plugin: str, *, timeout: float = 5.0) -> None:
        """End a plugin in order, and reset its restarts; a call starts it."""
        self._closing_after(self._find(plugin).stop, _deadline(timeout))

    def restart(self, plugin: str, *, timeout: float = 10.0) -> None:
        """End a plugin in order, and start it again from its current code."""
        supervisor, deadline = self._find(plugin), _deadline(timeout)
        self._closing_after(supervisor.stop, deadline)
        self._closing_after(supervisor.start, deadline)

    def status(self, plugin: str) -> Status:
        """Return what is known about a plugin, without waiting for it."""
        return self._find(plugin).status()

    def close(self) -> None:
        """End all plugins, within 3 seconds and the grace that they have.

        May be called again, from anywhere, at any time: from a signal
        handler in the middle of a call, that call ends, and does the rest.
        In a process that was forked from ours it does nothing: the plugins
        are not its own. At the end of the program it is called by itself.
        """
        if os.getpid() != self._pid:
            return
        self._host.closing.set()
        supervisors = list(self._supervisors.values())
        if any(each.is_called_by_us() for each in supervisors):
            for supervisor in supervisors:
                supervisor.ask_to_leave()
            return
        with self._closing:
            if self._closed:
                return
            self._closed = True
            now = time.monotonic()
            # All of it is done, also when Ctrl-C strikes in one of its waits.
            with self._undo as last:
                for supervisor in supervisors:
                    last.callback(supervisor.close, now, now + CLOSE_S)
                for supervisor in supervisors:
                    supervisor.ask_to_leave()

    def __del__(self) -> None:
        if getattr(self, "_pid", 0) != os.getpid() or self._closed:
            return
        try:
            why = "an executor was dropped without close()"
            warnings.warn(why, ResourceWarning, source=self, stacklevel=2)
        finally:  # a warning may be an error
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, plugin: str, request: Request, *more: Any) -> Any:
        told = {"plugin": plugin, "method": request[0]}
        act = self._find(plugin).call
        try:
            result = self._closing_after(act, request, *more)
        except CallError as error:
            self._events.tell(f"plugin.{type(error).__name__}", **told)
            raise
        self._events.tell("plugin.reply", **told)
        return result

    def _closing_after(self, act: Callable[..., Any], *arguments: Any) -> Any:
        """Act; then close, if a signal handler in the middle of it did."""
        try:
            return act(*arguments)
        finally:
            if self._host.closing.is_set():
                self.close()

    def _find(self, plugin: str) -> Supervisor:
        if os.getpid() != self._pid:
            why = "this executor is its parent's; make one after the fork"
            raise PluginUnavailable(plugin, why)
        if plugin not in self._supervisors:
            known = ", ".join(self._supervisors) or "none"
            raise NoSuchPlugin(plugin, f"no such plugin; registered: {known}")
        return self._supervisors[plugin]


_open: WeakSet[Executor] = WeakSet()


@atexit.register
def _close_all() -> None:
    for executor in list(_open):
        executor.close()


def _in_thread(
    future: Future[T], act: Callable[..., T], plugin: str, *more: Any
) -> Future[T]:
    run = partial(fulfil, future, act, plugin, *more)
    try:
        threading.Thread(target=run, name=plugin, daemon=True).start()
    except RuntimeError as error:  # no thread is left
        why = f"the system says: {error}"
        future.set_exception(PluginUnavailable(plugin, why, 1.0))
    return future


def _deadline(timeout: Any) -> float:
    known = isinstance(timeout, int | float)
    if not known or not 0 < timeout <= LONGEST_TIMEOUT_S:
        most = f"{LONGEST_TIMEOUT_S} s"
        raise ValueError(f"a timeout is above 0 and up to {most}: {timeout}")
    return time.monotonic() + float(timeout)
