"""One life of a plugin: one process, one endpoint, one REQ socket.

They are born together and dropped together. After any fault all three go,
so the abandoned request cannot run later, and a late reply has nowhere to
arrive. (REQ_RELAXED would deliver the abandoned requests after all; see
test_req_relaxed.cpp of libzmq, case 4.)
"""

import itertools
import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import zmq
from google.protobuf.message import DecodeError
from zmq.constants import Event

from plugin_system import values
from plugin_system.call import Caller, Outcome
from plugin_system.errors import (
    PluginError,
    PluginProtocolError,
    PluginTimeout,
)
from plugin_system.host.linux import Flag, Flood
from plugin_system.host.output import OutputReader
from plugin_system.host.process import Process
from plugin_system.host.runtime_folder import RuntimeFolder
from plugin_system.host.spawner import Spawner
from plugin_system.messages_pb2 import PluginCall, PluginReady, PluginReply
from plugin_system.registry import Registration

CONNECTION_LOST: Final = (
    Event.DISCONNECTED
    | Event.CLOSED
    | Event.HANDSHAKE_FAILED_NO_DETAIL
    | Event.HANDSHAKE_FAILED_PROTOCOL
    | Event.HANDSHAKE_FAILED_AUTH
)
# Not -1: with that libzmq removes the endpoint when the connection ends, and
# a reply that was read and not yet received goes with it (libzmq#2756;
# measured: one in 150 replies just before an exit).
NEVER_MS: Final = 3_600_000
# Eight of the largest replies may arrive at once, each in a thread.
FLOOD_BYTES: Final = 8 * values.MAX_MESSAGE_BYTES

# The name of a method, and its arguments by position and by name.
Request = tuple[str, tuple[Any, ...], dict[str, Any]]


@dataclass
class Host:
    """What all incarnations of one executor share."""

    folder: RuntimeFolder
    context: zmq.Context[zmq.Socket[bytes]]
    output: OutputReader
    spawner: Spawner
    closing: Flag
    ids: Iterator[int] = field(default_factory=partial(itertools.count, 1))


class Incarnation:
    """Started at once; `wait_ready`, then `call`, in the end `end`.

    Made in the spawner's thread: there Ctrl-C strikes nothing half made, and
    that thread lives on. Not for two threads at once, except `process.kill`.
    """

    def __init__(self, registration: Registration, host: Host) -> None:
        self.name = registration.name
        self.ready: PluginReady | None = None
        self.idempotent: dict[str, bool] = {}  # by the name of the method
        self._ids = host.ids
        self._nonce = secrets.randbits(63) + 1
        self._path = host.folder.made() / str(next(host.ids))
        environment = {
            "PLUGIN_ENDPOINT": f"ipc://{self._path}",
            "PLUGIN_INCARNATION": str(self._nonce),
            "PLUGIN_PROTOCOL": f"{values.PROTOCOL}..{values.PROTOCOL}",
        }
        # What is begun here is undone in reverse, by `end` or by a failure.
        with ExitStack() as born:
            requests = born.enter_context(host.context.socket(zmq.REQ))
            requests.linger = 0
            requests.maxmsgsize = values.MAX_MESSAGE_BYTES
            requests.reconnect_ivl = NEVER_MS
            lost = requests.get_monitor_socket(CONNECTION_LOST)
            born.enter_context(lost)
            born.callback(requests.disable_monitor)
            born.callback(_remove, self._path)
            self.process = Process(registration, environment, host.output)
            born.callback(self.process.end)
            grace = registration.leave_timeout
            self._caller = Caller(requests, lost, self.process, grace)
            self._undo = born.pop_all()

    @property
    def ended(self) -> bool:
        """Whether the process was ended; `end` may still have work."""
        return self.process.ended

    def end(self) -> None:
        """Kill the plugin if it still runs, and tidy up."""
        self._undo.close()

    def wait_ready(self, deadline: float) -> None:
        """Wait until the plugin is bound, then connect.

        Raises as `Process.wait_ready`.
        """
        self.ready = self.process.wait_ready(deadline)
        self.idempotent = {m.name: m.idempotent for m in self.ready.methods}
        self._caller.requests.connect(f"ipc://{self._path}")

    def call(self, request: Request, deadline: float) -> Any:
        """Return what the method returned.

        Raises PluginError, TypeError and ValueError for what cannot be sent,
        and PluginTimeout when it is too late to, and lives on. After all
        else it has ended.
        """
        call = PluginCall(id=next(self._ids), incarnation=self._nonce)
        call.method, arguments, keywords = request
        call.deadline_ns = int(deadline * 1e9)
        for argument in arguments:
            values.encode(argument, call.arguments.add())
        for name, argument in keywords.items():
            entry = call.keywords.entries.add(key=name)
            values.encode(argument, entry.value)
        frame = values.frame(call, "the call")
        if time.monotonic() >= deadline:
            # Sent, it would have to be killed for not having answered.
            why = "the deadline passed before it was sent the call"
            raise PluginTimeout(self.name, why)
        self.process.begins(call.id, Flood(self._path, most=FLOOD_BYTES))
        try:
            reply = self._exchange(frame, call.method, deadline)
            return self._checked(reply, call.id)
        except PluginError:
            raise
        except BaseException:
            self.end()  # also when Ctrl-C leaves a call unanswered
            raise

    def _exchange(
        self, request: bytes, method: str, deadline: float
    ) -> bytes:
        """Return the reply; each other outcome has an error of its own."""
        answer = self._caller.exchange(request, deadline)
        doing = f"in {method or 'ping'}"
        match answer.outcome:
            case Outcome.REPLY:
                return answer.reply
            case Outcome.CRASHED:
                raise self.process.crashed(doing, maybe_done=answer.sent)
            case Outcome.PROTOCOL_ERROR:
                raise self._lied(f"{answer.reason} {doing}", answer.sent)
            case Outcome.TIMEOUT:
                why = f"{answer.reason} {doing} before the deadline, so it "
                why += "was killed"
                raise PluginTimeout(self.name, why, maybe_done=answer.sent)

    def _checked(self, frame: bytes, asked: int) -> Any:
        try:
            values.check_fields(frame, "PluginReply")
            reply = PluginReply.FromString(frame)
            if reply.id != asked:
                raise ValueError(f"call {reply.id}, when {asked} was asked")
            if reply.incarnation != self._nonce:
                raise ValueError("in the name of another incarnation")
            if reply.HasField("result"):
                return values.decode(reply.result)
            if not reply.HasField("failure"):
                raise ValueError("neither with a result nor with a failure")
        except DecodeError:
            raise self._lied("its answer is no PluginReply", True) from None
        except ValueError as error:
            raise self._lied(f"it answered {error}", True) from None
        why = reply.failure
        raise PluginError(self.name, why.type, why.message, why.traceback)

    def _lied(self, what: str, maybe_done: bool) -> Exception:
        self.end()
        if self.process.code not in (-signal.SIGKILL, None):
            return self.process.crashed("meanwhile", maybe_done=maybe_done)
        why = f"{what}, so it was killed"
        return PluginProtocolError(self.name, why, maybe_done=maybe_done)


def _remove(path: Path) -> None:
    with suppress(OSError):  # the plugin may have put anything there
        path.unlink()
