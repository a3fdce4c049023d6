"""Sockets as this package makes them, and the endpoints that they accept.

Every socket gets a bounded linger, a high-water mark, a limit for what a
stranger may send, and a way to notice a peer that was stopped or cut off:

    PUSH   ZMTP heartbeats
    PULL   TCP keepalive, by the kernel

A PULL with heartbeats whose queue is full when its peer is killed is a trap:
its next heartbeat fails an assertion of libzmq 4.3.5 (!_io_error), which
ends the process. A PUSH has no queue of what it receives.
"""

import errno
import ipaddress
import re
from collections.abc import Iterator
from contextlib import contextmanager
from socket import getaddrinfo

import zmq

from image_pipeline.transport.curve import Keys

LINGER_MS = 2_000
HEARTBEAT_MS = 1_000
SILENCE_MS = 5_000  # a peer that is silent for so long is gone
MOST_PORT = 65_535
SMALL_BUFFER = 64 * 2**10  # the kernel's, for tasks: see `ventilator`


class Exposed(ValueError):
    """An endpoint that others could reach, without keys."""


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


def host_trouble(endpoint: str) -> str:
    """Say why the host of a tcp `endpoint` is not known, if it is not.

    libzmq tries for ever and says nothing: a host may come up later.
    """
    scheme, _, address = endpoint.partition("://")
    host = address.rpartition(";")[2].rpartition(":")[0].strip("[]")
    if scheme == "tcp":
        try:
            getaddrinfo(host, None)
        except (OSError, UnicodeError) as error:
            return getattr(error, "strerror", "") or str(error)
    return ""


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

    It is not bound or connected yet, so that `peers.Peers` can watch it
    before anything happens there.
    """
    made = context.socket(kind)
    try:
        made.linger = LINGER_MS
        made.set_hwm(high_water_mark)
        made.maxmsgsize = most_bytes
        if kind == zmq.PUSH:
            made.heartbeat_ivl = HEARTBEAT_MS
            made.heartbeat_timeout = SILENCE_MS
        made.tcp_keepalive = 1
        made.tcp_keepalive_idle = made.tcp_keepalive_intvl = 1  # seconds
        made.tcp_keepalive_cnt = SILENCE_MS // 1_000
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
