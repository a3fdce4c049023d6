"""Bind a socket so that nobody is robbed and no file is left behind."""

import errno
import ipaddress
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zmq

from pingpong.server import MAX_MESSAGE

LINGER = 500  # milliseconds that a last reply has to leave


class Unfit(ValueError):
    """An endpoint that is not taken; the text says why, and what to say."""


def check_form(endpoint: str) -> None:
    """Raise Unfit for what names no place that a process could reach.

    libzmq reads a port as far as it has digits and keeps 16 bits of it, so
    tcp://127.0.0.1:99999 would silently be port 34463.
    """
    scheme, _, address = endpoint.partition("://")
    if scheme not in ("tcp", "ipc") or not address:
        raise Unfit(
            f"{endpoint} is no endpoint that two processes can share: say "
            "tcp://HOST:PORT or ipc://PATH"
        )
    port = address.rpartition(":")[2]
    if scheme == "ipc" or port == "*":
        return
    if not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise Unfit(
            f"{endpoint} does not end in a port: say one from 1 to 65535, "
            "as in tcp://127.0.0.1:5555"
        )


def check_host(endpoint: str) -> None:
    """Raise Unfit for a host that is not known: libzmq would only wait."""
    scheme, _, address = endpoint.partition("://")
    if scheme != "tcp":
        return
    host = address.rpartition(";")[2].rpartition(":")[0].strip("[]")
    try:
        socket.getaddrinfo(host, None)
    except OSError as error:
        raise Unfit(f"{endpoint}: {error.strerror}") from None
    except UnicodeError as error:  # longer than a name may be, say
        raise Unfit(f"{endpoint}: {error}") from None


def check_exposure(endpoint: str) -> None:
    """Raise Unfit for an endpoint that is not this machine's alone.

    Ping-pong has no keys: it answers everybody who can reach it.
    """
    scheme, _, address = endpoint.partition("://")
    if scheme != "tcp":
        return
    host = address.rpartition(":")[0].strip("[]")
    try:
        is_local = ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name or an interface: only one of them is known
        is_local = host in ("localhost", "lo")
    if not is_local:
        raise Unfit(
            f"{endpoint} can be reached from other machines, and ping-pong "
            "has no keys, so anybody there could use it: bind to "
            "tcp://127.0.0.1:5555, or say --insecure"
        )


@contextmanager
def bound(
    context: zmq.SyncContext, kind: int, endpoint: str
) -> Iterator[zmq.SyncSocket]:
    """A socket of `kind` (REP, ROUTER) bound to `endpoint`, with its limits.

    Its `last_endpoint` is the real one where `endpoint` has a wildcard.
    Raises zmq.ZMQError or OSError where it cannot bind.
    """
    refuse_what_is_taken(endpoint)
    with context.socket(kind) as bind:
        bind.linger = LINGER
        # A frame of up to MAX_MESSAGE is for us to judge, and a little more
        # so that we can say that it is too long. Beyond that libzmq drops
        # the connection before it takes the memory.
        bind.maxmsgsize = 2 * MAX_MESSAGE
        # A REQ peer has one request in flight; this bounds other peers.
        bind.set_hwm(100)
        bind.bind(endpoint)
        try:
            yield bind
        finally:
            bind.close()
            remove(endpoint)


def refuse_what_is_taken(endpoint: str) -> None:
    """Raise OSError where a live server or no socket at all is in the way.

    libzmq deletes whatever has the name of an ipc endpoint, and binds.
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


def remove(endpoint: str) -> None:
    """Delete the file of an ipc endpoint: libzmq only does so for a `*`."""
    if path := ipc_path(endpoint):
        path.unlink(missing_ok=True)


def ipc_path(endpoint: str) -> Path | None:
    scheme, _, address = endpoint.partition("://")
    if scheme != "ipc" or not address or address[0] in "*@":
        return None
    return Path(address)
