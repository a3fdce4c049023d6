"""A plugin that fails in every way, for `check`, `demo` and the tests.

Some methods crash, some hang, some make the next reply a lie. How it fails
before it is ready is told by CHAOS_START in its environment.
"""

import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from plugin_system import values
from plugin_system.messages_pb2 import PluginReady, PluginReply
from plugin_system.sdk import Plugin

Lie = Callable[[bytes], bytes]


class Chaos(Plugin):
    """A plugin whose next reply can be replaced."""

    lie: Lie | None = None

    def answer(self, request: bytes, incarnation: int) -> bytes:
        reply = super().answer(request, incarnation)
        lie, self.lie = self.lie, None
        return lie(reply) if lie else reply


plugin = Chaos(version="1.0")


@plugin.method
def echo(value: Any) -> Any:
    """Return the argument."""
    return value


class Panic(BaseException):
    """No Exception, and not to be printed."""

    def __str__(self) -> str:
        raise self


@plugin.method
def fail(text: str) -> None:
    """Raise an exception."""
    raise Panic if text == "panic" else ValueError(text)


@plugin.method
def crash(how: str | int) -> None:
    """End: with an exit code, by a signal's name, or after the reply."""
    sys.stderr.write("goodbye\n")
    if how == "exit after the reply":
        plugin.lie = _last_words
    elif isinstance(how, int):
        os._exit(how)
    elif how == "in order":
        sys.exit("goodbye")
    elif how == "by Ctrl-C":
        raise KeyboardInterrupt
    elif how == "without a fork's child":
        os.kill(os.getpid() if os.fork() else 0, signal.SIGKILL)
    elif how == "after its connection":  # as by zmq_ctx_term in C
        connected().shutdown(socket.SHUT_RDWR)
        time.sleep(0.05)
        os._exit(7)
    else:
        os.kill(os.getpid(), signal.Signals[how])


@plugin.method
def hang(how: str) -> NoReturn:
    """Never return."""
    if how == "with SIGTERM ignored":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if how == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    if how == "with the interpreter's lock":
        re.match(r"(a+)+$", "a" * 64 + "b")  # longer than the universe
    while True:
        time.sleep(1000)


@plugin.method
def lie(how: str) -> None:
    """Send something else instead of, or beside, the reply."""
    plugin.lie = LIES[how]


def _with(**changes: Any) -> Lie:
    # Where a field is there twice, protobuf takes the last one.
    more = PluginReply(**changes).SerializeToString()
    return lambda reply: reply + more


def send_raw(reply: bytes) -> None:
    # A ZMTP message of two frames, by hand: the empty delimiter of REQ and
    # the reply (RFC 23).
    head = b"\x01\x00\x02" + len(reply).to_bytes(8, "big")
    connected().sendall(head + reply)


def _raw(reply: bytes) -> bytes:
    connected().sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"\xff" * 100)
    return reply


def _last_words(reply: bytes) -> bytes:
    send_raw(reply)
    os._exit(0)


LIES: dict[str, Lie] = {
    "noise": lambda _: b"\xff\xfe\xfd beyond all reading",
    "nothing": lambda _: b"",
    "wrong id": _with(id=2**60),
    "wrong incarnation": _with(incarnation=1),
    "no outcome": lambda reply: reply[:18],  # id and incarnation
    "too much": lambda _: bytes(values.MAX_MESSAGE_BYTES + 1),
    "raw bytes": _raw,
    "silence": lambda _: hang("asleep"),
}


def connected() -> socket.socket:
    """Return the one connected socket of this process: the host's."""
    for fd in Path("/proc/self/fd").iterdir():
        try:
            found = socket.socket(fileno=os.dup(int(fd.name)))
            found.getpeername()
        except OSError:
            continue
        if found.family is socket.AddressFamily.AF_UNIX:
            found.setblocking(True)
            return found
    raise RuntimeError("the host is not connected")


def _say_ready(data: bytes) -> None:
    with os.fdopen(int(os.environ["PLUGIN_READY_FD"]), "wb") as pipe:
        pipe.write(data)
    time.sleep(1000)


def _framed(magic: str) -> bytes:
    ready = PluginReady(magic=magic, protocol_min=7, protocol_max=9)
    message = ready.SerializeToString()
    return len(message).to_bytes(4, "big") + message


match os.environ.get("CHAOS_START"):
    case "prints first":
        print("hello from the plugin")
        sys.stderr.write("and from its stderr\n")
    case "silent":
        time.sleep(1000)
    case "broken import":
        import no_such_module  # type: ignore[import-not-found] # noqa: F401
    case "no plugin":
        _say_ready(b"* OK IMAP4rev1 Service Ready\r\n")
    case "wrong magic":
        _say_ready(_framed("other"))
    case "wrong version":
        _say_ready(_framed(values.MAGIC))
    case "killed":
        os.kill(os.getpid(), signal.SIGKILL)
