"""What the author of a plugin needs: a `Plugin`, and functions.

    from plugin_system import Plugin

    plugin = Plugin(version="1.0")

    @plugin.method
    def greet(name):
        return f"Hello, {name}!"

    if __name__ == "__main__":
        plugin.serve()

Role: the server. Socket: REP, binds PLUGIN_ENDPOINT, which only the host
that started this process connects to. In: PluginCall. Out: PluginReply.
One call at a time, because REP is lock-step: for two at once register the
plugin under two names.
"""

import ctypes
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

import zmq

from plugin_system import values
from plugin_system.messages_pb2 import PluginCall, PluginReady, PluginReply

Method = TypeVar("Method", bound=Callable[..., Any])
Leaving = TypeVar("Leaving", bound=Callable[[], object])
# CO_GENERATOR, CO_COROUTINE and CO_ASYNC_GENERATOR of `inspect`.
NOT_PLAIN = 0x20 | 0x80 | 0x200
PR_SET_PDEATHSIG = 1  # linux/prctl.h
MAX_TRACEBACK = 16_384  # characters; a RecursionError has far more
NAP_MS = 200  # a signal that comes just before a recv does not wake it


class DeadlinePassed(Exception):
    """The host no longer waits for this call, so it was not begun."""


class Plugin:
    """A named set of functions that a host may call.

    Arguments and results are None, bool, int, float, str, bytes, list and
    dict (with keys of str). An exception reaches the caller as
    `PluginError`, and the plugin lives on.
    """

    def __init__(self, version: str = "0") -> None:
        self.version = version
        self._methods: dict[str, Callable[..., Any]] = {}
        self._idempotent: set[str] = set()
        self._deadline_ns = 0
        self._leaving = threading.Event()  # the host has asked us to
        self._on_leave: list[Callable[[], object]] = []

    def method(self, function: Method) -> Method:
        """Offer `function` under its own name, or refuse it."""
        name = getattr(function, "__name__", "")
        code = getattr(function, "__code__", None)
        if not name:
            raise TypeError(f"{function!r} has no name to be called by")
        if code and code.co_flags & NOT_PLAIN:
            why = "is async or a generator; a method returns its result, "
            raise TypeError(f"{name} {why}such as list(...) or asyncio.run()")
        if name in self._methods:
            raise ValueError(f"two methods have the name {name}")
        self._methods[name] = function
        return function

    def idempotent(self, function: Method) -> Method:
        """Offer `function`, which may be called twice for one call.

        Only such a method is sent again when the plugin died with it.
        """
        self.method(function)
        self._idempotent.add(function.__name__)
        return function

    def on_leave(self, function: Leaving) -> Leaving:
        """Run `function` when we leave, within the host's leave_timeout."""
        self._on_leave.append(function)
        return function

    def remaining(self) -> float:
        """Return the seconds until the caller stops waiting."""
        return (self._deadline_ns - time.monotonic_ns()) / 1e9

    def serve(self) -> None:
        """Answer calls until the host closes stdin or dies.

        Exits with a sentence when no host has started this process. Dies
        also with what started it, such as a shell, which dies with the host.
        """
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        try:
            # Taken out: what a method starts is no plugin.
            endpoint = os.environ.pop("PLUGIN_ENDPOINT")
            ready_fd = int(os.environ.pop("PLUGIN_READY_FD"))
            incarnation = int(os.environ.pop("PLUGIN_INCARNATION"))
            os.environ.pop("PLUGIN_PROTOCOL", None)
        except KeyError as missing:
            why = "a plugin is started by its host; try `python -m "
            sys.exit(f"{missing} is not set: {why}plugin_system call`")
        with zmq.Context() as context, context.socket(zmq.REP) as replies:
            replies.maxmsgsize = values.MAX_MESSAGE_BYTES
            # The host reads at once or is gone: no reply is worth a wait.
            replies.linger = 1000
            replies.rcvtimeo = NAP_MS
            replies.bind(endpoint)
            try:
                _leave_at_end_of_stdin(self._leaving)
                self._announce(ready_fd)
                while True:
                    try:
                        request = replies.recv()
                    except zmq.Again:
                        continue
                    replies.send(self.answer(request, incarnation))
            except KeyboardInterrupt:
                if not self._leaving.is_set():
                    raise  # it is a method's own, and ends the process
                while self._on_leave:
                    self._on_leave.pop()()

    def answer(self, request: bytes, incarnation: int) -> bytes:
        """Return the serialised reply to a serialised call."""
        reply = PluginReply(incarnation=incarnation)
        try:
            call = PluginCall.FromString(request)
            reply.id = call.id
            if call.incarnation != incarnation or not call.id:
                raise ValueError("the call was not meant for this process")
            values.encode(self._perform(call), reply.result)
            return values.frame(reply, "the result")
        except (SystemExit, KeyboardInterrupt):
            raise  # what asks for the end of the process gets it
        except BaseException as error:  # noqa: BLE001
            # Whatever it is, the caller must hear of it.
            _describe(error, reply)
            return reply.SerializeToString()

    def _perform(self, call: PluginCall) -> Any:
        method = self._methods.get(call.method)
        if method is None:
            raise LookupError(f"there is no method {call.method!r}")
        if time.monotonic_ns() > call.deadline_ns:
            raise DeadlinePassed("nobody waits for this call any more")
        self._deadline_ns = call.deadline_ns
        # Of copies: a container itself is iterated with an exception.
        arguments, given = call.arguments[:], call.keywords.entries[:]
        named = {each.key: values.decode(each.value) for each in given}
        return method(*map(values.decode, arguments), **named)

    def _announce(self, ready_fd: int) -> None:
        ready = PluginReady(magic=values.MAGIC, version=self.version)
        ready.protocol_min = ready.protocol_max = values.PROTOCOL
        for name in self._methods:
            ready.methods.add(name=name, idempotent=name in self._idempotent)
        message = ready.SerializeToString()
        with os.fdopen(ready_fd, "wb") as pipe:
            pipe.write(len(message).to_bytes(4, "big") + message)


def _describe(error: BaseException, reply: PluginReply) -> None:
    where = error.__traceback__
    while where and where.tb_frame.f_globals is globals():
        where = where.tb_next  # the plugin's author looks for their own lines
    failure = reply.failure  # setting it clears the result: it is a oneof
    failure.SetInParent()
    failure.type = _printable(type(error).__name__)
    try:
        lines = traceback.format_exception(type(error), error, where)
        failure.message = _printable(str(error))[:MAX_TRACEBACK]
        failure.traceback = _printable("".join(lines))[-MAX_TRACEBACK:]
    except BaseException as other:  # noqa: BLE001
        failure.message = f"not to be printed: {type(other).__name__}"


def _printable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _leave_at_end_of_stdin(leaving: threading.Event) -> None:
    # The host never writes to stdin, so a read ends when the host closes it
    # or dies. A signal, since nothing else interrupts a blocking recv.
    # A host in a shell's background passes SIGINT on as ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main = threading.get_ident()  # `signal` works in no other thread
    # For methods, and for what they start, stdin is at its end.
    hosts = os.dup(0)
    with open(os.devnull) as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)

    def watch() -> None:
        while os.read(hosts, 4096):
            pass
        leaving.set()
        signal.pthread_kill(main, signal.SIGINT)

    threading.Thread(target=watch, name="stdin", daemon=True).start()
