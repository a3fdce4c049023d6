"""Who is on the other end of a socket, according to its monitor.

    PAIR connect, inproc  <- events  from libzmq's own threads

A socket says nothing of its connections: PUSH shares out what it is given
among those who are there, and that is all. The monitor tells who came, who
went and who was refused (libzmq documentation, zmq_socket_monitor).
"""

import struct
import time
from errno import ECONNRESET, EPIPE

import zmq

HANDSHAKE_MS = 5_000  # a peer that has not shown its key by then is cut off
_FAILURES = {  # and what each one says
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "",
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: (
        "the two sides do not speak the same: one wants keys (CURVE) and the "
        "other has none, or the peer is no ZeroMQ socket at all"
    ),
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: (
        "the key of the connecting side is not one of those admitted"
    ),
}
_EVENTS = (
    zmq.EVENT_ACCEPTED
    | zmq.EVENT_CONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | sum(_FAILURES)
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


class Refused(Exception):
    """The other side does not let us in; the text says why."""


class ConnectionMonitor:
    """The peers of one socket, counted.

    To be made before the socket is bound or connected: a handshake takes
    less than a millisecond, and one that was missed is never told again.

    The end of a connection is told without saying whether there ever was a
    handshake; any port scanner brings that about. So an end counts as the
    loss of a peer

        when the connection is older than a handshake may take, or
        when there are more ends than connections without a handshake.

    Silent connections therefore hide no peer's end for longer than that.

    On inproc there is no handshake and the monitor says nothing.
    """

    def __init__(self, watched: zmq.Socket[bytes]) -> None:
        self._watched = watched
        self.monitor: zmq.Socket[bytes] = watched.get_monitor_socket(_EVENTS)
        self.handshakes = 0  # handshakes that were made
        self.disconnects = 0  # connections gone, of those that had made one
        self._connections = 0  # that were ever begun
        self._ends = 0
        self._open: dict[int, float] = {}  # descriptors, and since when
        self._hung_up = 0
        self._failed = False  # a handshake has, so the next end is its own
        self._why = ""

    @property
    def connected(self) -> int:
        return self.handshakes - self.disconnects

    @property
    def refusal(self) -> str:
        """Why no handshake succeeds; empty while there is hope.

        A peer that hangs up once may just have been stopped, and one that
        is silent may come back.
        """
        if self.connected:
            return ""
        if self._why or self._hung_up < 2:
            return self._why
        is_curve = self._watched.mechanism == zmq.CURVE
        return _NO_DETAIL if is_curve else _NO_KEYS

    def close(self) -> None:
        self._watched.disable_monitor()
        self.monitor.close(linger=0)

    def check(self, who: str) -> None:
        """Raise Refused when `who` is at the other end and shuts us out."""
        self.look()
        if why := self.refusal:
            raise Refused(f"the {who} refuses us: {why}")

    def look(self) -> None:
        """Read the events that have come; never waits."""
        while self.monitor.poll(0):
            event, _endpoint = self.monitor.recv_multipart(zmq.NOBLOCK)
            # pyzmq's own parser brings asyncio with it, which costs every
            # worker 60 ms when it starts.
            kind, value = struct.unpack("=Hi", event)
            match kind:
                case zmq.EVENT_ACCEPTED | zmq.EVENT_CONNECTED:
                    self._connections += 1
                    self._open[value] = time.monotonic()
                case zmq.EVENT_HANDSHAKE_SUCCEEDED:
                    self.handshakes += 1
                case zmq.EVENT_DISCONNECTED:
                    self._ended(value)
                case failure:
                    self._failed = True
                    self._why = _FAILURES[failure] or self._why
                    # An errno comes with it: not that of our own deadline.
                    self._hung_up += value in (EPIPE, ECONNRESET)
            unmade = self._connections - self.handshakes
            self.disconnects = max(self.disconnects, self._ends - unmade)

    def _ended(self, descriptor: int) -> None:
        now = time.monotonic()
        age = now - self._open.pop(descriptor, now)
        if age > HANDSHAKE_MS / 1_000 and not self._failed:
            self.disconnects += 1
        self._ends += 1
        self._failed = False
