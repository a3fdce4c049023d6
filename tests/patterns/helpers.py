"""What several chapters need: patient contexts, endpoints, monitors."""

import asyncio
import functools
import signal
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from math import inf
from pathlib import Path
from typing import Any, ParamSpec

import zmq
from zmq.utils.monitor import recv_monitor_message

from tests import support

PATIENCE_S = support.PATIENCE_S
LOOPBACK = "127.255.255.255"  # where a broadcast reaches only ourselves
P = ParamSpec("P")
# The fixtures of conftest.py that run a function beside the test.
InThread = Callable[..., Future[Any]]
Spawn = Callable[..., support.Program]


def make_patient(context: zmq.Context[Any]) -> None:
    """Bound every wait of the sockets that `context` makes from now on.

    A recv or send gives up (`zmq.Again`) instead of waiting for ever, and
    closing a socket drops what was not sent. A chapter about one of these
    options sets it itself.
    """
    context.rcvtimeo = int(PATIENCE_S * 1000)
    context.sndtimeo = int(PATIENCE_S * 1000)
    context.linger = 0


def bind_anywhere(binder: zmq.Socket[Any]) -> str:
    """Bind to a free port on loopback and return the real endpoint."""
    binder.bind("tcp://127.0.0.1:*")
    return binder.get_string(zmq.LAST_ENDPOINT)


def udp() -> socket.socket:
    """A UDP socket that may broadcast, and may share its port."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return opened


@contextmanager
def sockets(
    context: zmq.SyncContext, *kinds: int
) -> Iterator[list[zmq.SyncSocket]]:
    """Open a socket of each kind, and close them all in the end."""
    with ExitStack() as stack:
        opened = (context.socket(kind) for kind in kinds)
        yield [stack.enter_context(each) for each in opened]


def is_silent(listener: zmq.SyncSocket, for_s: float = 0.1) -> bool:
    """True where nothing arrives within `for_s` seconds.

    Silence proves little by itself. Use it after a later message has
    arrived, or where the receiver could not have been overtaken.
    """
    return not listener.poll(int(for_s * 1000))


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Poll `condition`, for what no event announces (a file, a process)."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"never became true: {what}"
        time.sleep(0.005)


def in_a_loop(
    test: Callable[P, Coroutine[Any, Any, None]],
) -> Callable[P, None]:
    """Run a test as the one task of an event loop, within a deadline."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), PATIENCE_S))

    return run


def kill(program: support.Program) -> None:
    """Kill a program, and see that it was still running."""
    program.signal(signal.SIGKILL)
    assert program.wait() == -signal.SIGKILL, program.stderr


def stop(program: support.Program) -> None:
    """Stop a program, and see that it has stopped with all its threads.

    The signal reaches one of them, and the others run on until it has seen
    it: libzmq's would go on receiving.
    """
    program.signal(signal.SIGSTOP)
    threads = Path(f"/proc/{program.pid}/task")
    wait_until(
        lambda: all(
            (thread / "stat").read_text().rpartition(") ")[2].startswith("T")
            for thread in threads.iterdir()
        ),
        "the program has stopped",
    )


class Monitor:
    """The events of one socket (libzmq documentation, zmq_socket_monitor)."""

    def __init__(self, events: zmq.SyncSocket) -> None:
        self._events = events
        self.seen: list[zmq.Event] = []

    def next(self, within_s: float = PATIENCE_S) -> zmq.Event:
        """Return the next event; fail if none comes within `within_s`."""
        assert self._events.poll(int(within_s * 1000)), (
            f"no more events, got {self.seen}"
        )
        event = zmq.Event(recv_monitor_message(self._events)["event"])
        self.seen.append(event)
        return event

    def changes(self, within_s: float) -> bool:
        """Wait for an event; False if none comes within `within_s`."""
        return bool(self._events.poll(int(within_s * 1000)) and self.next())

    def so_far(self) -> list[zmq.Event]:
        """Return every event seen up to now, without waiting."""
        while self._events.poll(0):
            self.next()
        return self.seen

    def wait_for(self, event: zmq.Event, times: int = 1) -> None:
        """Return once `event` came `times` more times; fail if it does not.

        What comes in between is kept in `seen`, in order.
        """
        deadline = time.monotonic() + PATIENCE_S
        while times:
            left = max(0.0, deadline - time.monotonic())
            times -= self.next(left) == event


@contextmanager
def watch(watched: zmq.SyncSocket) -> Iterator[Monitor]:
    """Watch a socket; enter this before the bind or connect it is about."""
    events = watched.get_monitor_socket()
    try:
        yield Monitor(events)
    finally:
        if not watched.closed:
            watched.disable_monitor()
        events.close()


class Wiretap:
    """A TCP relay between two peers, which records what passes.

    `open` is a gate: while it is cleared, bytes wait in the kernel and the
    peers are connected but do not hear each other, as on a slow network. It
    shuts itself when the client has sent `at_most` bytes.
    """

    def __init__(self, endpoint: str, at_most: float = inf) -> None:
        host, port = endpoint.removeprefix("tcp://").split(":")
        self._server = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self.from_server = bytearray()
        self.from_client = bytearray()
        self._at_most = at_most
        self.open = threading.Event()
        self.open.set()
        self._sockets = [self._listener]
        self._threads: list[threading.Thread] = []
        self._begin(self._accept)

    def close(self) -> None:
        self._at_most = inf
        self.open.set()
        for end in self._sockets:
            with suppress(OSError):  # not connected any more
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)
        for end in self._sockets:
            end.close()

    def _begin(self, body: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=body, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was shut down
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server, PATIENCE_S)
                self._sockets += [client, server]
                self._begin(self._pump, client, server, self.from_client)
                self._begin(self._pump, server, client, self.from_server)

    def _pump(
        self, source: socket.socket, to: socket.socket, heard: bytearray
    ) -> None:
        with suppress(OSError):  # one of the two has gone
            while self.open.wait(PATIENCE_S) and (data := source.recv(65536)):
                heard += data
                to.sendall(data)
                if len(self.from_client) >= self._at_most:
                    self.open.clear()
            to.shutdown(socket.SHUT_WR)


@contextmanager
def wiretap(endpoint: str, at_most: float = inf) -> Iterator[Wiretap]:
    """Listen in on what passes to and from the tcp `endpoint`."""
    tap = Wiretap(endpoint, at_most)
    try:
        yield tap
    finally:
        tap.close()
