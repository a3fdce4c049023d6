"""The host: calls plugins, each a process of its own, and outlives them.

with Executor() as executor:
    executor.call("text", "count", "to be or not to be", timeout=1.0)
"""

import atexit
import os
import threading
import time
import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

import zmq

from plugin_system.errors import CallError, NoSuchPlugin, PluginUnavailable
from plugin_system.host import linux
from plugin_system.host.incarnation import Host
from plugin_system.host.output import OutputReader
from plugin_system.host.restarts import RestartPolicy
from plugin_system.host.runtime_folder import RuntimeFolder
from plugin_system.host.spawner import Spawner
from plugin_system.host.supervisor import Status, Supervisor
from plugin_system.registry import Registration, discover

LEAVE_S = 0.5  # what an idle plugin gets to go by itself at the end
CLOSE_S = 3.0  # what `close` takes at most
LONGEST_TIMEOUT_S = 1_000_000  # poll(2) counts milliseconds in an int


class Executor:
    """Holds plugins and calls them. All methods are thread-safe.

    Without `registrations` it holds all that `discover` finds. A plugin is
    started by the first call that needs it. Sockets live in a private
    folder in `runtime_base`; by default XDG_RUNTIME_DIR or the temporary
    folder. Raises `linux.Unsupported` where plugins could not be watched,
    RuntimeError where the system refuses a thread.
    """

    def __init__(
        self,
        registrations: Iterable[Registration] | None = None,
        *,
        policy: RestartPolicy | None = None,
        runtime_base: Path | None = None,
    ) -> None:
        linux.require()
        if registrations is None:
            registrations = discover()[0].values()
        # What is begun here is undone in reverse, by `close` or by a failure.
        with ExitStack() as born:
            folder = RuntimeFolder(runtime_base)
            born.callback(folder.close)
            context = zmq.Context()
            context.max_sockets = context.get(zmq.SOCKET_LIMIT)
            born.callback(context.destroy, linger=0)
            output = OutputReader()
            born.callback(output.close)
            spawner = Spawner()
            born.callback(spawner.close)
            self._undo = born.pop_all()
        self._host = Host(folder.path, context, output, spawner)
        self._supervisors = {
            each.name: Supervisor(each, self._host, policy or RestartPolicy())
            for each in registrations
        }
        # A signal handler may close it during `close`, in the same thread.
        self._closing = threading.RLock()
        self._closed = False
        self._pid = os.getpid()
        _open.add(self)

    def call(
        self, plugin: str, method: str, *arguments: Any, timeout: float = 5.0
    ) -> Any:
        """Return what `method` of `plugin` returns for `arguments`.

        `timeout` is in seconds and covers everything: waiting for other
        calls to this plugin, its start, sending, and the reply. Raises the
        `CallError`s of `plugin_system.errors`, each of which says whether
        the work may have been done; TypeError and ValueError for arguments
        that cannot be sent.
        """
        deadline = _deadline(timeout)
        try:
            return self._find(plugin).call(method, arguments, deadline)
        finally:
            if self._host.closing.is_set():
                self.close()  # by a signal handler, which left us the rest

    def ping(self, plugin: str, *, timeout: float = 5.0) -> None:
        """Return when the plugin has answered; raises as `call` does."""
        self.call(plugin, "", timeout=timeout)

    def start(
        self, *plugins: str, timeout: float = 10.0
    ) -> dict[str, CallError | None]:
        """Start plugins side by side, all without arguments.

        Returns what went wrong with each, or None.
        """
        deadline = _deadline(timeout)
        names = plugins or tuple(self._supervisors)

        def attempt(name: str) -> CallError | None:
            try:
                self._find(name).start(deadline)
            except CallError as error:
                return error
            return None

        starters = ThreadPoolExecutor(max(1, len(names)))
        try:
            tried = dict(
                zip(names, starters.map(attempt, names), strict=True)
            )
        except BaseException:
            starters.shutdown(wait=False)  # `close` ends what they wait for
            raise
        starters.shutdown()
        return tried

    def status(self, plugin: str) -> Status:
        """Return what is known about a plugin, without waiting for it."""
        return self._find(plugin).status()

    def close(self) -> None:
        """End all plugins, within 3 seconds. Calls under way are ended.

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
                    last.callback(
                        supervisor.close, now + CLOSE_S, now + LEAVE_S
                    )
                for supervisor in supervisors:
                    supervisor.ask_to_leave()

    def __del__(self) -> None:
        if getattr(self, "_pid", 0) == os.getpid() and not self._closed:
            warnings.warn(
                "an executor was dropped without close()",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _find(self, plugin: str) -> Supervisor:
        if os.getpid() != self._pid:
            raise PluginUnavailable(
                plugin,
                "this executor belongs to the process that was forked; make "
                "one after the fork",
                retry_after=None,
            )
        try:
            return self._supervisors[plugin]
        except KeyError:
            known = ", ".join(self._supervisors) or "none"
            raise NoSuchPlugin(
                plugin, f"no such plugin; registered: {known}"
            ) from None


_open: WeakSet[Executor] = WeakSet()


@atexit.register
def _close_all() -> None:
    for executor in list(_open):
        executor.close()


def _deadline(timeout: float) -> float:
    if not 0 < timeout <= LONGEST_TIMEOUT_S:
        raise ValueError(
            f"a timeout is above 0 and up to {LONGEST_TIMEOUT_S} s, not "
            f"{timeout}"
        )
    return time.monotonic() + timeout
