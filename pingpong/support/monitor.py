"""Count the connections of a socket, also those that never say a word.

Role      observer of a bound socket
Socket    PAIR, connected to the socket's monitor (inproc)
Messages  in: monitor events (zmq_socket_monitor documentation)

The application does not hear of a connection that ends without a handshake
(its peer speaks no ZMTP, says nothing, or gives up early) nor of one that
is cut off for a frame over MAXMSGSIZE. The monitor does; for it a peer that
left and one that was cut off in mid-message are both `closed`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread

import zmq
from zmq.utils.monitor import recv_monitor_message

HANDSHAKE_FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)


@dataclass
class Connections:
    """How many peers came, failed to shake hands, and went."""

    accepted: int = 0
    strangers: int = 0
    closed: int = 0

    def __str__(self) -> str:
        return (
            f"Connections: {self.accepted} accepted, "
            f"{self.strangers} without a handshake, {self.closed} closed"
        )


@contextmanager
def watched(bind: zmq.SyncSocket) -> Iterator[Connections]:
    """Count while inside; the figures are final after the block."""
    seen = Connections()
    monitor = bind.get_monitor_socket()
    watching = Thread(target=count, args=(monitor, seen), daemon=True)
    watching.start()
    try:
        yield seen
    finally:
        bind.disable_monitor()
        watching.join(timeout=5)


def count(monitor: zmq.SyncSocket, seen: Connections) -> None:
    while True:
        event = recv_monitor_message(monitor)["event"]
        if event == zmq.EVENT_MONITOR_STOPPED:
            monitor.close(linger=0)
            return
        seen.accepted += event == zmq.EVENT_ACCEPTED
        seen.closed += event == zmq.EVENT_DISCONNECTED
        seen.strangers += bool(event & HANDSHAKE_FAILED)
