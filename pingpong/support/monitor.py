"""Count the connections of a socket, also those that never say a word.

The application does not hear of a connection that ends without a handshake
nor of one that is cut off for a frame over MAXMSGSIZE. The monitor does.
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
        counts = f"{self.accepted} accepted, {self.strangers} without a"
        return f"Connections: {counts} handshake, {self.closed} closed"


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
    event = 0
    while event != zmq.EVENT_MONITOR_STOPPED:
        event = recv_monitor_message(monitor)["event"]
        seen.accepted += event == zmq.EVENT_ACCEPTED
        seen.closed += event == zmq.EVENT_DISCONNECTED
        seen.strangers += bool(event & HANDSHAKE_FAILED)
    monitor.close(linger=0)
