"""Sockets as this package makes them, and what their monitors tell.

Every socket gets a bounded linger, a high-water mark, a limit for what a
stranger may send, and ZMTP heartbeats, so that a peer that was stopped or
cut off is noticed (libzmq documentation, zmq_setsockopt).
"""

import errno
import ipaddress
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import zmq

from image_pipeline.curve import Keys

LINGER_MS = 2_000
HEARTBEAT_MS = 1_000
SILENCE_MS = 5_000  # a peer that is silent for so long is gone
MOST_PORT = 65_535
SMALL_BUFFER = 64 * 2**10  # the kernel's, for tasks: see `ventilator`

_EVENTS = (
    zmq.EVENT_ACCEPTED
    | zmq.EVENT_CONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_DISCONNECTED
)
_NO_DETAIL = (
    "the peer hung up in the middle of the handshake; most often the server "
    "key that one side expects is not the one that the other has"
)
_NO_KEYS = (
    "the peer hung up in the middle of the handshake; most often it wants "
    "keys (CURVE), and we have none: give them with --keys"
)
_PROTOCOL = (
    "the two sides do not speak the same: one wants keys (CURVE) and the "
    "other has none, or the peer is no ZeroMQ socket at all"
)
_NOT_ADMITTED = "the key of the connecting side is not one of those admitted"


class Exposed(ValueError):
    """An endpoint that others could reach, without keys."""


class Refused(Exception):
    """The other side does not let us in; the text says why."""


def check_exposure(endpoint: str, keys: Keys | None, insecure: bool) -> None:
    """Raise Exposed for binding beyond loopback without CURVE."""
    scheme, _, address = endpoint.partition("://")
    if scheme != "tcp" or keys or insecure:
        return
    host = address.rpartition(":")[0].strip("[]")
    try:
        is_local = ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name or an interface: only one of them is known
        is_local = host in ("localhost", "lo")
    if not is_local:
        raise Exposed(
            f"{endpoint} can be reached from other machines, and without "
            "keys anybody there could take part: make keys with `keygen` "
            "and give them with --keys, or say --insecure"
        )


_abandoned: list[zmq.Context[zmq.Socket[bytes]]] = []


@contextmanager
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    """Lend a context, and terminate it, which waits for all of its sockets.

    An interruption may have struck while they were being closed, and then
    it would wait for ever.
    """
    made: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        yield made
    except KeyboardInterrupt:
        abandon(made)
        raise
    finally:
        if made not in _abandoned:
            made.term()


def abandon(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    """Never terminate `context`, not even when it is collected."""
    _abandoned.append(context)


class Unusable(Exception):
    """An endpoint that cannot be had; the text says why."""


@contextmanager
def socket(
    context: zmq.Context[zmq.Socket[bytes]],
    kind: int,
    *,
    most_bytes: int = -1,
    high_water_mark: int = 100,
    buffer: int = 0,
) -> Iterator[zmq.Socket[bytes]]:
    """Make one end of a link; `most_bytes` is for one frame.

    It is not bound or connected yet, so that `Peers` can watch it before
    anything happens there.
    """
    made = context.socket(kind)
    try:
        made.linger = LINGER_MS
        made.set_hwm(high_water_mark)
        made.maxmsgsize = most_bytes
        made.heartbeat_ivl = HEARTBEAT_MS
        made.heartbeat_timeout = SILENCE_MS
        made.reconnect_ivl_max = HEARTBEAT_MS
        if buffer:
            made.sndbuf = made.rcvbuf = buffer
        yield made
    except BaseException:
        made.linger = 0  # what was to be sent is of no use any more
        raise
    finally:
        made.close()


def bind(socket: zmq.Socket[bytes], endpoint: str, keys: Keys | None) -> str:
    """Bind to `endpoint`; return it with its wildcard port resolved."""
    if keys:
        keys.serve(socket)
    with _usable("bind", endpoint):
        socket.bind(endpoint)
    return socket.get_string(zmq.LAST_ENDPOINT)


def connect(
    socket: zmq.Socket[bytes], endpoint: str, keys: Keys | None
) -> None:
    if keys:
        keys.join(socket)
    with _usable("connect", endpoint):
        socket.connect(endpoint)


@contextmanager
def _usable(what: str, endpoint: str) -> Iterator[None]:
    # libzmq reads a port as far as it has digits and keeps 16 bits of it, so
    # 99999 would silently be 34463.
    port = endpoint.rpartition(":")[2]
    if endpoint.startswith("tcp://") and not (
        port == "*"
        or (re.fullmatch("[0-9]{1,5}", port) and int(port) <= MOST_PORT)
    ):
        raise Unusable(
            f"cannot {what} to {endpoint}: it does not end in a port, which "
            f"is a number up to {MOST_PORT}"
        )
    try:
        yield
    except (zmq.ZMQError, UnicodeError) as error:
        number = getattr(error, "errno", errno.EINVAL)
        raise Unusable(
            f"cannot {what} to {endpoint}: {zmq.strerror(number)}"
        ) from None


class Peers:
    """Who is on the other end of a socket, from the socket's monitor.

    To be made before the socket is bound or connected: a handshake takes
    less than a millisecond, and one that was missed is never told again.

    The end of a connection is told without saying whose it was, and also
    when there never was a handshake: any port scanner brings that about. So
    of those that ended, as many were no peers as made no handshake.

    On inproc there is no handshake and the monitor says nothing.
    """

    def __init__(self, watched: zmq.Socket[bytes]) -> None:
        self._watched = watched
        self.monitor: zmq.Socket[bytes] = watched.get_monitor_socket(_EVENTS)
        self.ever = 0  # handshakes that were made
        self.lost = 0  # connections gone, of those that had made one
        self._begun = 0  # connections, before any handshake
        self._ended = 0
        self._hung_up = 0
        self._why = ""

    @property
    def connected(self) -> int:
        return self.ever - self.lost

    @property
    def refusal(self) -> str:
        """Why no handshake succeeds; empty while there is hope.

        A peer that hangs up once may just have been stopped.
        """
        if self.connected or (self._hung_up == 1 and not self._why):
            return ""
        if self._why or not self._hung_up:
            return self._why
        is_curve = self._watched.mechanism == zmq.CURVE
        return _NO_DETAIL if is_curve else _NO_KEYS

    def __enter__(self) -> "Peers":
        return self

    def __exit__(self, *exception: object) -> None:
        self._watched.disable_monitor()
        self.monitor.close(linger=0)

    def look(self) -> None:
        """Take in what has happened; never waits."""
        while self.monitor.poll(0):
            event, _endpoint = self.monitor.recv_multipart(zmq.NOBLOCK)
            # pyzmq's own parser brings asyncio with it, which costs every
            # worker 60 ms when it starts.
            kind, _value = struct.unpack("=Hi", event)
            if kind in (zmq.EVENT_ACCEPTED, zmq.EVENT_CONNECTED):
                self._begun += 1
            elif kind == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.ever += 1
            elif kind == zmq.EVENT_DISCONNECTED:
                self._ended += 1
            elif kind == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                self._hung_up += 1
            elif kind == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
                self._why = _PROTOCOL
            elif kind == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                self._why = _NOT_ADMITTED
            strangers = self._begun - self.ever
            self.lost = max(self.lost, self._ended - strangers)
