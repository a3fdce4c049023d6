"""A plugin's process, from its start until it is reaped.

No socket here. That it is ready comes on a pipe of its own, so that it may
print what it likes; a pidfd tells its end, even if a child holds its pipes.
"""

import logging
import os
import select
import signal
import threading
import time
from contextlib import ExitStack
from typing import Final

from plugin_system.call import poll
from plugin_system.errors import (
    CallError,
    IncompatiblePlugin,
    PluginCrashed,
    PluginTimeout,
)
from plugin_system.host import handshake, linux
from plugin_system.host.output import OutputReader, Stream
from plugin_system.host.spawn import spawn
from plugin_system.messages_pb2 import PluginReady
from plugin_system.registry import Registration

# A process that was killed, or that has closed its pipes in order to end,
# may take so long to end (measured: under 1 ms, longer on a busy machine).
DYING_S: Final = 1.0
STARTING: Final = "it was still starting at the deadline"


class Process:
    """Started at once, in a session of its own; killed by `end`.

    `death` is a file descriptor that is readable once the process ended.
    """

    def __init__(
        self,
        registration: Registration,
        environment: dict[str, str],
        output: OutputReader,
    ) -> None:
        self.name = registration.name
        self.ended = False  # by `end`
        self._latest = time.monotonic() + registration.start_timeout
        self._patience = registration.start_timeout
        self._handshake = b""
        self._streams: list[Stream] = []
        self._output = output
        self.code: int | None = None  # how it ended, once `ended`
        self._reaped = False  # by us; gevent's Popen sets returncode itself
        # For a signal handler, too, that closes the executor meanwhile.
        self._reaping = threading.RLock()
        # What is begun here is undone in reverse, by `end` or by a failure.
        with ExitStack() as born:
            made = spawn(registration, environment)
            self._process, self.death, self._ready_fd = made
            self.pid = self._process.pid
            born.callback(os.close, self._ready_fd)
            born.callback(os.close, self.death)
            self._death_poll = select.poll()
            self._death_poll.register(self.death, select.POLLIN)
            self._printed = select.poll()
            born.callback(self._close_pipes)
            born.callback(self._kill_and_reap)
            out, err = self._process.stdout, self._process.stderr
            for pipe, level in (out, logging.INFO), (err, logging.WARNING):
                if pipe:
                    stream = Stream(pipe, self.name, level, output.lines)
                    self._streams.append(stream)
                    self._printed.register(pipe, select.POLLIN)
                    output.add(stream)
            self._undo = born.pop_all()

    def wait_ready(self, deadline: float) -> PluginReady:
        """Return what the plugin says of itself, once it is bound.

        Raises PluginCrashed, IncompatiblePlugin and PluginTimeout. When the
        deadline is the caller's, the process goes on starting.
        """
        while True:
            wait = min(deadline, self._latest) - time.monotonic()
            events = poll([self._ready_fd, self.death], wait)
            if self._ready_fd in events:
                if ready := self._read_handshake(deadline):
                    return ready
            elif self.death in events:
                raise self._never_spoke(deadline)
            elif time.monotonic() >= self._latest:
                self.end()
                why = f"not ready within {self._patience:g} s of its start"
                raise PluginTimeout(self.name, f"{why}, so it was killed")
            elif time.monotonic() >= deadline:
                raise PluginTimeout(self.name, STARTING)

    def begins(self, call_id: int, flood: linux.Flood) -> None:
        self.floods = flood.rises  # asked while the call waits for its reply
        printed = self._printed.poll(0)  # mostly nothing, so ask once
        for stream in self._streams:
            if printed:
                self._output.catch_up(stream)
            stream.call_id = call_id

    def has_died(self) -> bool:
        """Return whether the process has gone, at a tenth of a zmq_poll."""
        return bool(self._death_poll.poll(0))

    def crashed(self, doing: str, *, maybe_done: bool) -> PluginCrashed:
        """End it, and describe how it had ended by itself."""
        self.end()
        exit_code, signal_name = _told_apart(self.code)
        return PluginCrashed(
            self.name,
            doing,
            exit_code=exit_code,
            signal_name=signal_name,
            stderr=self._streams[1].last_lines(),
            maybe_done=maybe_done,
        )

    def kill(self) -> None:
        """Kill the process and its group. From any thread."""
        with self._reaping:
            if not self._reaped:
                linux.kill_group(self.death, self.pid)

    def leave(self) -> None:
        """Ask it to go, by the end of file on its stdin."""
        if self._process.stdin:
            self._process.stdin.close()

    def end(self) -> None:
        """Kill the process if it still runs, reap it, close its pipes."""
        self.ended = True
        self._undo.close()

    def _kill_and_reap(self) -> None:
        self.kill()  # also what it left behind: its group may outlive it
        poll([self.death], DYING_S)
        with self._reaping:
            self._reaped = True  # from here on the pidfd may be closed
            self.code = linux.reap(self.death)
            # Popen is told, or it would wait for the number by itself.
            self._process.returncode = self.code or 0

    def _close_pipes(self) -> None:
        self.leave()
        for stream in self._streams:
            self._output.drop(stream)

    def _read_handshake(self, deadline: float) -> PluginReady | None:
        data = os.read(self._ready_fd, 65536)
        if not data:
            raise self._never_spoke(deadline)
        self._handshake += data
        try:
            return handshake.read(self._handshake)
        except handshake.Unfit as error:
            self.end()
            raise IncompatiblePlugin(self.name, str(error)) from None

    def _never_spoke(self, deadline: float) -> CallError:
        left = deadline - time.monotonic()
        by_itself = poll([self.death], min(DYING_S, left))
        if not by_itself and left < DYING_S:  # it may be about to end
            return PluginTimeout(self.name, STARTING)
        crashed = self.crashed("before it was ready", maybe_done=False)
        if by_itself and crashed.exit_code != 0:
            return crashed
        why = "it closed PLUGIN_READY_FD without a word, so it is no plugin; "
        return IncompatiblePlugin(self.name, why + handshake.SEE)


def _told_apart(code: int | None) -> tuple[int | None, str | None]:
    if code is None or code >= 0:
        return code, None
    try:
        return None, signal.Signals(-code).name
    except ValueError:
        return None, f"signal {-code}"
