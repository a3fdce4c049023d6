"""Bind a socket with limits; take no path from a server, leave no file."""

import errno
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import zmq

from pingpong.support.endpoint import needs_ipv6, split
from pingpong.support.receive import MAX_MESSAGE


@contextmanager
def bound(
    context: zmq.SyncContext, kind: int, endpoint: str
) -> Iterator[zmq.SyncSocket]:
    """A bound REP or ROUTER. Raises zmq.ZMQError or OSError."""
    refuse_what_is_taken(endpoint)
    with context.socket(kind) as bind:
        bind.ipv6 = needs_ipv6(endpoint)
        bind.linger = 500  # ms that a last reply has to leave
        # Up to here we can say that a frame is too long. For a longer one
        # libzmq drops the connection, also before the handshake.
        bind.maxmsgsize = 2 * MAX_MESSAGE
        bind.handshake_ivl = 2_000  # ms; a peer that says nothing is cut off
        # A REQ peer has one request in flight; this bounds other peers. It
        # counts messages: libzmq has no limit for the frames of one.
        bind.set_hwm(100)
        bind.bind(endpoint)
        try:
            yield bind
        finally:
            if path := ipc_path(endpoint):  # libzmq leaves its file
                path.unlink(missing_ok=True)


def refuse_what_is_taken(endpoint: str) -> None:
    """Raise OSError where a live server or another file is in the way.

    libzmq deletes any file that has the name of an ipc endpoint, and binds.
    """
    path = ipc_path(endpoint)
    if path is None or not path.exists():
        return
    if not path.is_socket():
        raise FileExistsError(errno.EEXIST, "not a socket", str(path))
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return  # its server was killed and left it
    raise OSError(errno.EADDRINUSE, "a live server's", str(path))


def ipc_path(endpoint: str) -> Path | None:
    scheme, address = split(endpoint)
    named = scheme == "ipc" and address[0] not in "*@"
    return Path(address) if named else None


def raise_file_limit() -> None:
    """Raise the limit of descriptors: a connection costs one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS: unlimited is too many
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
