"""Checks of endpoints: some are refused, some bring a warning.

What only the command line needs is imported late: workers start sooner.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import zmq

from image_pipeline.transport.curve import Keys

MAX_PORT = 65_535
CONNECT_S = 1.0


class Transport(StrEnum):
    TCP = "tcp"
    IPC = "ipc"
    INPROC = "inproc"


class Exposed(ValueError):
    """An endpoint that others could reach, without keys."""


def check_exposure(endpoint: str, keys: Keys | None, insecure: bool) -> None:
    """Raise Exposed for binding beyond loopback without CURVE."""
    import ipaddress

    scheme, _, address = endpoint.partition("://")
    if scheme in ("ipc", "inproc") or keys or insecure:
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
    """Return why the host of a tcp `endpoint` is not known, or nothing.

    libzmq tries for ever and says nothing: a host may come up later.
    """
    from socket import getaddrinfo

    scheme, _, address = endpoint.partition("://")
    host = address.rpartition(";")[2].rpartition(":")[0].strip("[]")
    if scheme == "tcp":
        try:
            getaddrinfo(host, None)
        except (OSError, UnicodeError) as error:
            return getattr(error, "strerror", "") or str(error)
    return ""


def needs_ipv6(endpoint: str) -> bool:
    """Return whether a socket needs zmq.IPV6 for `endpoint`.

    Only then: with it, 127.0.0.1 would be shown as ::ffff:127.0.0.1.
    """
    scheme, _, address = endpoint.partition("://")
    host = address.rpartition(";")[2].rpartition(":")[0]
    if scheme != "tcp" or host == "*":
        return False
    if ":" in host:  # only an address of IPv6 has one
        return True
    if re.fullmatch("[0-9.]+", host):
        return False
    from socket import AF_INET, getaddrinfo

    try:
        return all(each[0] != AF_INET for each in getaddrinfo(host, None))
    except (OSError, UnicodeError):
        return False


def is_inproc(endpoint: str) -> bool:
    """On inproc nobody shakes hands, and monitors say nothing."""
    return endpoint.startswith("inproc:")


class Unusable(Exception):
    """An endpoint that cannot be had; the text says why."""


@contextmanager
def usable(what: str, endpoint: str) -> Iterator[None]:
    """Raise Unusable for what libzmq refuses, and for what it would misread.

    It reads a port as far as it has digits and keeps 16 bits of it, so 99999
    would silently be 34463.
    """
    scheme, _, address = endpoint.partition("://")
    is_pattern = scheme == "ipc" and re.match(r"\*.", address)
    if "\0" in endpoint or (what == "bind" and is_pattern):
        raise Unusable(f"cannot {what} to {endpoint!a}: it is no path")
    if scheme == "tcp":
        port = address.rpartition(":")[2]
        digits = re.fullmatch("0*([0-9]{1,5})", port)
        if port != "*" and not (digits and int(digits[1]) <= MAX_PORT):
            raise Unusable(
                f"cannot {what} to {endpoint}: it does not end in a port, "
                f"which is a number up to {MAX_PORT}"
            )
        if what == "bind" and ";" in address:
            raise Unusable(
                f"cannot bind to {endpoint}: only who connects can say from "
                "where"
            )
    if what == "bind" and scheme == "ipc":
        _check_path(address)
    try:
        yield
    except (zmq.ZMQError, UnicodeError) as error:
        number = getattr(error, "errno", errno.EINVAL)
        raise Unusable(
            f"cannot {what} to {endpoint}: {zmq.strerror(number)}"
        ) from None


def _check_path(path: str) -> None:
    """Raise Unusable for a path that is taken: libzmq would delete it."""
    if path.startswith(("@", "*")) or not os.path.lexists(path):
        return
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise Unusable(f"cannot bind to {path}: a file is in the way")
    from socket import AF_UNIX, SOCK_STREAM, socket

    with socket(AF_UNIX, SOCK_STREAM) as probe:
        probe.settimeout(CONNECT_S)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return  # the socket of a process that has died
        except OSError as error:
            raise Unusable(
                f"cannot bind to {path}: {error.strerror}"
            ) from None
    raise Unusable(f"cannot bind to {path}: another process listens there")


@contextmanager
def private_endpoints(transport: Transport) -> Iterator[tuple[str, str]]:
    """Yield endpoints for tasks and results, on this machine."""
    match transport:
        case Transport.TCP:
            yield "tcp://127.0.0.1:*", "tcp://127.0.0.1:*"
        case Transport.INPROC:  # these names are known in our context only
            yield "inproc://tasks", "inproc://results"
        case Transport.IPC:  # in a folder that is ours alone
            # tempfile would import shutil with all its archive formats.
            temporary = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108
            _check_base(temporary)
            folder = Path(temporary, f"ipc-{os.urandom(4).hex()}")
            folder.mkdir(0o700)
            try:
                yield f"ipc://{folder}/tasks", f"ipc://{folder}/results"
            finally:
                for left in folder.iterdir():
                    left.unlink()
                folder.rmdir()


def _check_base(base: str) -> None:
    """Raise Unusable where another user could put a folder for ours."""
    found = Path(base).stat()
    others = stat.S_IWGRP | stat.S_IWOTH
    shared = found.st_mode & others and not found.st_mode & stat.S_ISVTX
    if shared or found.st_uid not in (0, os.getuid()):
        raise Unusable(
            f"{base} is no place for sockets: other users may replace what "
            "is in there; set TMPDIR to a folder of your own"
        )
