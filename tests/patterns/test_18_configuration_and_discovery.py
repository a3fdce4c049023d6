"""ZeroMQ connects to an address; finding the address is your part.

From the simplest to the most alive: an argument, a name in DNS, which does
not know who is alive, a registry, which forgets a server that does not renew
its entry (etcd, Consul, ZooKeeper), and a beacon, which needs no server. A
client without an answer looks again.

Sockets: REQ connects, REP binds; the beacon is UDP broadcast, here on
loopback only. Messages: a question, and as its answer an endpoint. Why: a
server moves, and its clients must not be told by hand. Sources: libzmq
documentation, zmq_tcp; Guide, chapter 8, "Discovery"; registries.py.
"""

import re
import socket as network
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import IPv6Address

import pytest
import zmq

from tests.patterns.helpers import (
    LOOPBACK,
    PATIENCE_S,
    InThread,
    Spawn,
    bind_anywhere,
    kill,
    sockets,
    udp,
    wait_until,
)
from tests.patterns.registries import registry, running
from tests.patterns.test_20_asyncio import serve_until_interrupted
from tests.support import Program

BEACON = b"BEYOND1 "  # whose beacon this is, and in which version
ENDPOINT = re.compile(
    r"tcp://([A-Za-z0-9][A-Za-z0-9._-]*|\[(?P<ipv6>[^\[\]]+)\])"
    r":(?P<port>[0-9]{1,5})"
)


def checked_endpoint(text: str) -> str:
    """Return an endpoint to connect to, or raise ValueError with a sentence.

    libzmq takes more than this, for one a port of 99999, and never arrives.
    """
    if not (form := ENDPOINT.fullmatch(text)):
        raise ValueError(f"{text!r} is no endpoint, try tcp://127.0.0.1:5555")
    if not 1 <= int(form["port"]) <= 65535:
        raise ValueError(f"{text!r} needs a port from 1 to 65535")
    if form["ipv6"]:
        IPv6Address(form["ipv6"])  # raises ValueError itself
    return text


def connect_by_name(client: zmq.SyncSocket, host: str, port: int) -> None:
    """Connect to each address that DNS has; send to those that answer."""
    client.ipv6 = client.immediate = True
    found = network.getaddrinfo(host, port, type=network.SOCK_STREAM)
    for family, *_, (address, *_) in found:
        six = family == network.AF_INET6
        client.connect(f"tcp://{f'[{address}]' if six else address}:{port}")


def listen_for_beacon(port: int, wait_s: float) -> str | None:
    """Return the endpoint of the first valid beacon, or None in time."""
    deadline = time.monotonic() + wait_s
    with udp() as ear:  # a new one: it holds no beacon of the dead
        ear.bind((LOOPBACK, port))
        while (left := deadline - time.monotonic()) > 0:
            ear.settimeout(left)
            with suppress(TimeoutError, ValueError):  # or a stranger's
                datagram = ear.recv(512)
                if datagram.startswith(BEACON):
                    text = datagram.removeprefix(BEACON).decode()
                    return checked_endpoint(text)
    return None


def ask_wherever_it_is(
    context: zmq.SyncContext, find: Callable[[], str | None], wait_s: float
) -> str | None:
    """Find a server and ask it; while there is silence, look again."""
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        # A new socket for each try; and chapter 1 says why DONTWAIT.
        with context.socket(zmq.REQ) as client, suppress(zmq.Again):
            client.linger = 0
            if endpoint := find():
                client.ipv6 = "[" in endpoint
                client.connect(endpoint)
                client.send(b"where are you?")
            if client.poll(300):
                return client.recv(zmq.DONTWAIT).decode()
    return None


def serve_and_announce(context: zmq.SyncContext, url: str) -> None:
    """Answer with our endpoint, and keep our entry in a registry alive."""
    with context.socket(zmq.REP) as server:
        endpoint = bind_anywhere(server)
        while True:
            registry(url).announce("pong", endpoint, ttl_s=2)
            if server.poll(500):
                server.recv()
                server.send_string(endpoint)


def serve_and_beacon(context: zmq.SyncContext, port: str) -> None:
    """Answer with our endpoint, and tell everybody in reach where we are."""
    with context.socket(zmq.REP) as server, udp() as voice:
        endpoint = bind_anywhere(server)
        while True:
            voice.sendto(BEACON + endpoint.encode(), (LOOPBACK, int(port)))
            if server.poll(100):
                server.recv()
                server.send_string(endpoint)


FINE = """
tcp://127.0.0.1:1 tcp://localhost:65535 tcp://a:05555 tcp://a.:1 tcp://1:1
tcp://a-b.c_d:1 tcp://a..b:1 tcp://[::1]:1 tcp://[fe80::1%lo]:1
tcp://[::ffff:1.2.3.4]:1"""
REFUSED = """
5555 127.0.0.1:1 http://a:80 TCP://h:1 tcp:// tcp://a tcp://a: tcp://a:+1
tcp://*:1 tcp://a:* tcp://-a:1 tcp://_a:1 tcp://user@h:1 tcp://h:1/x
tcp://h:1?x tcp://h:1#f tcp://\u00e9:1 tcp://h:\u0663"""
WITH_SPACES = ["", "tcp://a:1 ", "tcp:// a:1", "tcp://a b:1", "tcp://h:5\n5"]
NEVER_ARRIVES = """
tcp://:5555 tcp://a:0 tcp://a:65536 tcp://a:99999 tcp://a:1x tcp://::1:1
tcp://[::1] tcp://[::1:1 tcp://[]:1 tcp://[zz]:1 tcp://[1.2.3.4]:1
tcp://a;b:1 tcp://a:1:1 tcp://a%20:1 inproc://a ipc://a"""


@pytest.mark.parametrize(
    ("text", "libzmq_and_we"),
    [
        *((text, (True, True)) for text in FINE.split()),
        *((text, (False, False)) for text in REFUSED.split() + WITH_SPACES),
        *((text, (True, False)) for text in NEVER_ARRIVES.split()),
    ],
)
def test_what_the_check_accepts_libzmq_accepts(
    context: zmq.SyncContext, text: str, libzmq_and_we: tuple[bool, bool]
) -> None:
    """libzmq takes each endpoint that passes the check, and worse ones."""
    taken = checked = False
    with context.socket(zmq.REQ) as client, suppress(zmq.ZMQError):
        client.ipv6 = True
        client.connect(text)
        taken = True
    with suppress(ValueError):
        checked = checked_endpoint(text) == text
    assert (taken, checked) == libzmq_and_we


def test_libzmq_accepts_a_port_that_does_not_exist(
    context: zmq.SyncContext,
) -> None:
    """Beyond 65535 the port wraps around, so check it before libzmq does."""
    with sockets(context, zmq.PULL, zmq.PUSH) as (server, client):
        host, _, port = bind_anywhere(server).rpartition(":")
        client.connect(f"{host}:{int(port) + 65536}")
        client.send(b"for somebody else")
        assert server.recv() == b"for somebody else"


@pytest.mark.parametrize(
    ("host", "place"),
    [("localhost", "tcp://127.0.0.1:*"), ("::1", "tcp://[::1]:*")],
)
def test_a_name_in_dns_becomes_an_endpoint_for_each_address(
    context: zmq.SyncContext, host: str, place: str
) -> None:
    """A socket connects to every address of a name; one has the server."""
    with sockets(context, zmq.REP, zmq.REQ) as (server, client):
        server.ipv6 = "[" in place
        server.bind(place)
        port = int(server.get_string(zmq.LAST_ENDPOINT).rpartition(":")[2])
        connect_by_name(client, host, port)
        client.send(b"found by name")
        assert server.recv() == b"found by name"


def test_dns_goes_on_to_name_a_server_that_is_dead(
    context: zmq.SyncContext, spawn: Spawn
) -> None:
    """DNS goes on to name a dead server: a client needs a time-out."""
    server = spawn(serve_until_interrupted)
    port = int(server.wait_for(r"tcp://\S+:(\d+)").group(1))
    with context.socket(zmq.REQ) as client:
        connect_by_name(client, "localhost", port)
        client.send(b"ping")
        assert client.recv() == b"pong to ping"
    kill(server)
    with context.socket(zmq.REQ) as client:
        connect_by_name(client, "localhost", port)  # no error
        with pytest.raises(zmq.Again):
            client.send(b"ping", zmq.DONTWAIT)
        assert not client.poll(200, zmq.POLLOUT)


@pytest.fixture(scope="module", params=["etcd", "consul"])
def registry_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of a real registry, which lives as long as this file."""
    folder = tmp_path_factory.mktemp("registry")
    with running(request.param, folder) as url:
        yield url


def _see_it_move(
    context: zmq.SyncContext,
    find: Callable[[], str | None],
    run: Callable[[], Program],
    longer_than_an_entry_s: float = 0,
) -> None:
    """Find a server, kill it, miss it, and find the next one elsewhere."""
    first = run()
    old_place = ask_wherever_it_is(context, find, PATIENCE_S)
    assert old_place
    threading.Event().wait(longer_than_an_entry_s)
    assert find() == old_place
    kill(first)
    wait_until(lambda: find() is None, "nobody says where it was")
    run()
    new_place = ask_wherever_it_is(context, find, PATIENCE_S)
    assert new_place not in {None, old_place}


@pytest.mark.slow
def test_a_client_finds_a_killed_server_where_it_moved_to(
    context: zmq.SyncContext, registry_url: str, spawn: Spawn
) -> None:
    """A registry forgets a dead server, and leads to where it is alive."""
    _see_it_move(
        context,
        lambda: registry(registry_url).look_up("pong"),
        lambda: spawn(serve_and_announce, registry_url),
        longer_than_an_entry_s=2.5,
    )


def test_a_client_that_hears_nothing_looks_again_and_gives_up(
    context: zmq.SyncContext, endpoint: str
) -> None:
    """A client looks again while there is silence, and gives up in time."""
    context.linger = -1  # the default, by which what it asked would stay
    looks = []

    def find() -> str:
        looks.append(time.monotonic())
        return endpoint  # where nobody is

    assert ask_wherever_it_is(context, find, wait_s=1.0) is None
    assert 2 <= len(looks) <= 4


def test_datagrams_of_strangers_are_no_beacons(
    beacon_port: int, in_thread: InThread
) -> None:
    """Anybody can send a datagram, so a beacon is checked like any input."""
    found = threading.Event()
    contents = [b"\xff", b"tcp://a:99999", b"tcp://[::1]:5555"]
    datagrams = [b"", b"tcp://a:1", *(BEACON + each for each in contents)]

    def talk() -> None:
        with udp() as voice:
            while not found.wait(0.01):
                for datagram in datagrams:
                    voice.sendto(datagram, (LOOPBACK, beacon_port))

    in_thread(talk)
    endpoint = listen_for_beacon(beacon_port, wait_s=PATIENCE_S)
    found.set()
    assert endpoint == "tcp://[::1]:5555"


def test_a_beacon_that_never_comes_is_not_waited_for(
    beacon_port: int,
) -> None:
    """Where no beacon comes, a listener gives up in time."""
    assert listen_for_beacon(beacon_port, wait_s=0.2) is None


def test_a_beacon_leads_to_a_server_that_moved(
    context: zmq.SyncContext, beacon_port: int, spawn: Spawn
) -> None:
    """With a beacon a client finds a server that it knows nothing about."""
    _see_it_move(
        context,
        lambda: listen_for_beacon(beacon_port, 0.5),
        lambda: spawn(serve_and_beacon, str(beacon_port)),
    )
