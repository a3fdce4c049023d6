"""Sockets as this package makes them: bound, or connected.

Every socket gets a bounded linger, a high-water mark, a deadline for the
handshake, a limit for the size of a frame, and a way to notice a peer that
was stopped or cut off:

    PUSH   ZMTP heartbeats
    PULL   TCP keepalive, by the kernel

A PULL with heartbeats is a trap, also while its peer is well: when its queue
is full, libzmq reads no more, so no heartbeat is answered, and the next read
fails an assertion of libzmq 4.3.5 (_input_stopped), which ends the process.
A PUSH has no queue of what it receives.

No option bounds a message: the limit is for each of its frames, and a mark
counts messages, not frames. A peer that never ends a message fills our
memory, so only peers with a key, or of the same user over ipc, should reach
a socket that binds.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import cast

import zmq

from image_pipeline.transport.curve import Keys
from image_pipeline.transport.endpoints import is_inproc, needs_ipv6, usable
from image_pipeline.transport.monitor import HANDSHAKE_MS, ConnectionMonitor

LINGER_MS = 2_000
HEARTBEAT_MS = 1_000
SILENCE_MS = 5_000  # a peer that is silent for so long is gone
HIGH_WATER_MARK = 100
SHORT_QUEUE = 1  # messages, at both ends of a short link
SHORT_BUFFER = 64 * 2**10  # the kernel's: too small to hold tasks unseen
MAX_BYTES = 4 * 2**20  # of one frame, to a PULL that binds
HANDSHAKE_BYTES = 1024  # all that reaches a PUSH
SEND_MS = 2_000  # a safety net: a sender polls before it sends

# A connecting socket looks up its host in its thread of libzmq, at each try.
# Nothing else goes on there meanwhile, which may be half a minute.
FIRST_THREAD, SECOND_THREAD = 1, 2  # as bits of ZMQ_AFFINITY

Context = zmq.Context[zmq.Socket[bytes]]


class Socket(zmq.Socket[bytes]):
    """A socket that knows its endpoint and who is at the other end."""

    endpoint: str = ""
    peers: ConnectionMonitor = None  # type: ignore[assignment]


@contextmanager
def bound(
    context: Context,
    kind: int,
    endpoint: str,
    keys: Keys | None = None,
    *,
    short: bool = False,
    limit: int = MAX_BYTES,
) -> Iterator[Socket]:
    """Bind to `endpoint`; a wildcard port is resolved in its `endpoint`."""
    with _socket(context, kind, short) as socket:
        socket.maxmsgsize = HANDSHAKE_BYTES if kind == zmq.PUSH else limit
        if keys:
            keys.serve(socket)
        socket.affinity = FIRST_THREAD
        socket.ipv6 = needs_ipv6(endpoint)
        with usable("bind", endpoint):
            socket.bind(endpoint)
        socket.endpoint = socket.get_string(zmq.LAST_ENDPOINT)
        yield socket


@contextmanager
def connected(
    context: Context,
    kind: int,
    endpoint: str,
    keys: Keys | None = None,
    *,
    short: bool = False,
) -> Iterator[Socket]:
    with _socket(context, kind, short) as socket:
        if keys:
            keys.join(socket)
        if context.get(zmq.IO_THREADS) > 1:
            socket.affinity = SECOND_THREAD
        socket.ipv6 = needs_ipv6(endpoint)
        with usable("connect", endpoint):
            socket.connect(endpoint)
        socket.endpoint = endpoint
        yield socket
        socket.peers.look()
        if not (socket.peers.connected or is_inproc(endpoint)):
            socket.linger = 0  # nobody is there to wait for


@contextmanager
def _socket(context: Context, kind: int, short: bool) -> Iterator[Socket]:
    socket = cast("Socket", context.socket(kind, socket_class=Socket))
    try:
        socket.linger = LINGER_MS
        socket.handshake_ivl = HANDSHAKE_MS
        socket.set_hwm(SHORT_QUEUE if short else HIGH_WATER_MARK)
        if short:
            socket.sndbuf = socket.rcvbuf = SHORT_BUFFER
        if kind == zmq.PUSH:
            socket.sndtimeo = SEND_MS
            socket.heartbeat_ivl = HEARTBEAT_MS
            socket.heartbeat_timeout = SILENCE_MS
        socket.tcp_keepalive = 1
        socket.tcp_keepalive_idle = socket.tcp_keepalive_intvl = 1  # s
        socket.tcp_keepalive_cnt = SILENCE_MS // 1_000
        socket.reconnect_ivl_max = HEARTBEAT_MS
        with closing(ConnectionMonitor(socket)) as socket.peers:
            yield socket
    except BaseException:
        socket.linger = 0  # what was to be sent is of no use any more
        raise
    finally:
        socket.close()


_abandoned: list[Context] = []


@contextmanager
def context(io_threads: int = 2) -> Iterator[Context]:
    """Yield a context, and terminate it, which waits for all of its sockets.

    What is bound has a thread of its own, so a name server that does not
    answer keeps nobody from getting in. One is enough where nothing is.

    An interruption may have struck while they were being closed, and then
    it would wait for ever.
    """
    made: Context = zmq.Context(io_threads)
    try:
        yield made
    except KeyboardInterrupt:
        abandon(made)
        raise
    finally:
        if made not in _abandoned:
            made.term()


def abandon(context: Context) -> None:
    """Never terminate `context`, not even when it is collected."""
    _abandoned.append(context)
