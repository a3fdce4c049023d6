"""Check an endpoint before libzmq sees it: what passes here, works there.

libzmq keeps 16 bits of a port: tcp://127.0.0.1:99999 would be port 34463.
It looks for an unknown host for ever. And tcp://*:5555 is for a server,
tcp://SOURCE:0;HOST:5555 for a client, so there is a check for each.
"""

import ipaddress
import re
import socket
import sys

NUMBER = re.compile("0*[1-9][0-9]{0,4}")
# What libzmq lets pass in an address to connect to (zmq_connect in 4.3.5).
CONNECTABLE = re.compile(r"[a-zA-Z0-9\[:][a-zA-Z0-9._:;%*\[\]-]*")
LONGEST_PATH = 103 if sys.platform == "darwin" else 107  # unix(7), in bytes


class Unfit(ValueError):
    """An endpoint that is not taken; the text says why, and what to say."""


def check_bind(endpoint: str) -> None:
    """Raise Unfit for what no server could bind."""
    scheme, address = split(endpoint)
    if scheme == "ipc":
        if address[0] == "*" and address != "*":  # libzmq reads only the *
            raise Unfit(f"{endpoint} begins like ipc://*: say ipc://PATH")
        return
    host, port = host_and_port(address)
    check_port(endpoint, port, or_any=True)
    if host != "*" and host not in interfaces():
        resolve(endpoint, host)


def check_connect(endpoint: str) -> None:
    """Raise Unfit for what no client could connect to."""
    scheme, address = split(endpoint)
    if scheme == "ipc":
        if address == "*":
            raise Unfit(f"{endpoint} is for a server: say ipc://PATH")
        return
    source, has_source, target = address.rpartition(";")
    host, port = host_and_port(target)
    check_port(endpoint, port)
    if not CONNECTABLE.fullmatch(address):
        raise Unfit(f"{endpoint} names no host: say tcp://HOST:PORT")
    family, _ = resolve(endpoint, host)
    if has_source:
        host, port = host_and_port(source)
        check_port(endpoint, port, or_any=True)
        if host not in interfaces():
            resolve(endpoint, host, (family,), socket.AI_NUMERICHOST)


def check_exposure(endpoint: str) -> None:
    """Raise Unfit for what can be bound but is not this machine's alone."""
    scheme, address = split(endpoint)
    host, _ = host_and_port(address)
    if scheme == "ipc" or host in ("lo", "lo0"):  # on Linux, on macOS
        return
    if host != "*" and host not in interfaces():
        _, found = resolve(endpoint, host)
        if all(ipaddress.ip_address(each).is_loopback for each in found):
            return
    raise Unfit(
        f"{endpoint} can be reached from other machines, and without keys "
        "anybody there could use it: bind to tcp://127.0.0.1:5555, or say "
        "--insecure"
    )


def needs_ipv6(endpoint: str) -> bool:
    """Whether an endpoint needs zmq.IPV6, which changes IPv4 addresses."""
    scheme, address = split(endpoint)
    host, _ = host_and_port(address.rpartition(";")[2])
    if scheme == "ipc" or host == "*" or host in interfaces():
        return False
    return resolve(endpoint, host)[0] == socket.AF_INET6


def split(endpoint: str) -> tuple[str, str]:
    """The transport, tcp or ipc, and the address. Raises Unfit."""
    scheme, _, address = endpoint.partition("://")
    if scheme not in ("tcp", "ipc") or not address:
        why = "is no endpoint that two processes can share"
        raise Unfit(f"{endpoint} {why}: say tcp://HOST:PORT or ipc://PATH")
    try:
        length = len(address.encode())
    except UnicodeEncodeError:
        raise Unfit(f"{endpoint!a} is no text: say it in UTF-8") from None
    if "\0" in address:  # libzmq stops reading there
        raise Unfit(f"{endpoint!a} is no text: leave out the zero byte")
    if scheme == "ipc" and (length > LONGEST_PATH or address == "@"):
        raise Unfit(
            f"{endpoint}: a path has 1 to {LONGEST_PATH} bytes and this one "
            f"{length - (address == '@')}: say another"
        )
    return scheme, address


def check_port(endpoint: str, port: str, *, or_any: bool = False) -> None:
    is_any = or_any and port in ("0", "*")
    if not is_any and (not NUMBER.fullmatch(port) or int(port) > 65535):
        say = "say one from 1 to 65535, as in tcp://127.0.0.1:5555"
        raise Unfit(f"{endpoint} does not end in a port: {say}")


def resolve(
    endpoint: str,
    host: str,
    families: tuple[int, ...] = (socket.AF_INET, socket.AF_INET6),
    flags: int = 0,
) -> tuple[int, list[str]]:
    """The first family that `host` has addresses of, and those. Or Unfit."""
    name, has_zone, zone = host.partition("%")
    why = "say tcp://HOST:PORT"
    if has_zone and not (NUMBER.fullmatch(zone) or zone in interfaces()):
        raise Unfit(f"{endpoint}: there is no interface {zone}")
    for family in families if name else ():
        try:
            query = (name.encode("ascii"), None, family, socket.SOCK_STREAM)
            found = socket.getaddrinfo(*query, flags=flags)
            return family, [str(address[4][0]) for address in found]
        except OSError as error:
            why = str(error.strerror)
        except UnicodeError:
            why = "only ASCII can be a host's name here"
    raise Unfit(f"{endpoint}: {host or 'no host'}: {why}")


def host_and_port(address: str) -> tuple[str, str]:
    """Without the brackets of [::1], which libzmq takes around any host."""
    host, _, port = address.rpartition(":")
    return (host[1:-1] if host[:1] + host[-1:] == "[]" else host), port


def interfaces() -> list[str]:
    return [name for _, name in socket.if_nameindex()]
