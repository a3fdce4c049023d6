"""ZeroMQ connects to an address; finding the address is your part.

From the simplest to the most alive: an argument, an environment variable,
a name in DNS, a registry that forgets servers which stop renewing their
entry (etcd here; Consul and ZooKeeper are of the kind), and a beacon that
needs no configuration at all. A client that got no answer looks again.

Sockets: REQ connects, REP binds; the beacon is UDP broadcast, here on
loopback only. Sources: libzmq documentation, zmq_tcp; click, "Values from
Environment Variables"; etcd 3.4, "gRPC gateway" and "Lease"; Guide, chapter
8, "Discovery".
"""

import base64
import json
import os
import socket as network
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import pytest
import zmq
from click.testing import CliRunner

from tests.patterns.helpers import (
    PATIENCE_S,
    bind_anywhere,
    is_silent,
    kill,
    wait_until,
)
from tests.support import Program, needs

LOOPBACK = "127.255.255.255"  # where a broadcast reaches only ourselves
BEACON = b"BEYOND1 "  # whose beacon this is, and in which version


def checked_endpoint(text: str) -> str:
    """Return a tcp endpoint as it is, or raise ValueError with a sentence."""
    url = urlsplit(text)
    if url.scheme != "tcp" or not url.hostname:
        raise ValueError(f"{text!r} is no endpoint, try tcp://127.0.0.1:5555")
    if not url.port:  # raises ValueError itself beyond 65535
        raise ValueError(f"{text!r} needs a port from 1 to 65535")
    return text


def resolve(host: str, port: int) -> list[str]:
    """Return an endpoint for each IPv4 address that a name has in DNS."""
    found = network.getaddrinfo(
        host, port, network.AF_INET, network.SOCK_STREAM
    )
    return [f"tcp://{address[0]}:{port}" for *_, address in found]


def announce(etcd: str, name: str, endpoint: str, ttl_s: int) -> None:
    """Enter a server into etcd, to be forgotten unless it comes again."""
    lease = _etcd(etcd, "lease/grant", TTL=ttl_s)["ID"]
    _etcd(etcd, "kv/put", key=_b64(name), value=_b64(endpoint), lease=lease)


def look_up(etcd: str, name: str) -> str | None:
    """Return the endpoint of a server, or None if none is alive."""
    for entry in _etcd(etcd, "kv/range", key=_b64(name)).get("kvs", []):
        return base64.b64decode(entry["value"]).decode()
    return None


def listen_for_beacon(port: int, wait_s: float) -> str | None:
    """Return the endpoint of the first valid beacon, or None in time."""
    deadline = time.monotonic() + wait_s
    with _udp() as ear:  # a new one: it holds no beacon of the dead
        ear.bind((LOOPBACK, port))
        while (left := deadline - time.monotonic()) > 0:
            ear.settimeout(left)
            try:
                datagram = ear.recv(512)
                if datagram.startswith(BEACON):
                    text = datagram.removeprefix(BEACON).decode()
                    return checked_endpoint(text)
            except (TimeoutError, ValueError):
                continue  # silence, or a stranger's datagram
    return None


def ask_wherever_it_is(
    context: zmq.SyncContext, find: Callable[[], str | None], wait_s: float
) -> str | None:
    """Find a server and ask it; while there is silence, look again."""
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        with context.socket(zmq.REQ) as client:  # a new one for each try
            client.linger = 0
            if endpoint := find():
                client.connect(endpoint)
                client.send(b"where are you?")
            if client.poll(300):
                return str(client.recv_string())
    return None


def serve_and_announce(context: zmq.SyncContext, etcd: str) -> None:
    """Answer with our endpoint, and keep our entry in etcd alive."""
    with context.socket(zmq.REP) as server:
        endpoint = bind_anywhere(server)
        while True:
            announce(etcd, "pong", endpoint, ttl_s=2)
            if server.poll(500):
                server.recv()
                server.send_string(endpoint)


def serve_and_beacon(context: zmq.SyncContext, port: str) -> None:
    """Answer with our endpoint, and tell everybody in reach where we are."""
    with context.socket(zmq.REP) as server, _udp() as voice:
        endpoint = bind_anywhere(server)
        while True:
            voice.sendto(BEACON + endpoint.encode(), (LOOPBACK, int(port)))
            if server.poll(100):
                server.recv()
                server.send_string(endpoint)


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _etcd(url: str, call: str, **body: str | int) -> dict[str, Any]:
    """Call etcd's JSON gateway."""
    gateway = HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_S)
    with closing(gateway):
        gateway.request("POST", f"/v3/{call}", json.dumps(body))
        return dict(json.load(gateway.getresponse()))


def _udp() -> network.socket:
    """A UDP socket that may broadcast, and may share its port."""
    udp = network.socket(network.AF_INET, network.SOCK_DGRAM)
    udp.setsockopt(network.SOL_SOCKET, network.SO_BROADCAST, 1)
    udp.setsockopt(network.SOL_SOCKET, network.SO_REUSEADDR, 1)
    return udp


@click.command()
@click.option("--server", envvar="PONG_SERVER", required=True)
def _program(server: str) -> None:
    """A program that is told where its server is."""
    try:
        click.echo(checked_endpoint(server))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@pytest.mark.parametrize(
    ("arguments", "variable", "printed"),
    [
        (["--server", "tcp://a:1"], None, "tcp://a:1"),
        ([], "tcp://b:2", "tcp://b:2"),
        (["--server", "tcp://a:1"], "tcp://b:2", "tcp://a:1"),
    ],
    ids=["argument", "variable", "both"],
)
def test_an_argument_is_stronger_than_a_variable(
    arguments: list[str], variable: str | None, printed: str
) -> None:
    """An endpoint comes from an argument, or else from the environment."""
    result = CliRunner().invoke(
        _program, arguments, env={"PONG_SERVER": variable}
    )
    assert (result.exit_code, result.output) == (0, f"{printed}\n")


def test_a_program_without_an_endpoint_says_what_is_missing() -> None:
    """Without an endpoint a program ends at once and names the option."""
    result = CliRunner().invoke(_program, [], env={"PONG_SERVER": None})
    assert result.exit_code == 2
    assert "Missing option '--server'" in result.output


def test_libzmq_accepts_a_port_that_does_not_exist(
    context: zmq.SyncContext,
) -> None:
    """Beyond 65535 the port wraps around, so check it before libzmq does."""
    with context.socket(zmq.REP) as server, context.socket(zmq.REQ) as client:
        host, _, port = bind_anywhere(server).rpartition(":")
        mistyped = f"{host}:{int(port) + 65536}"
        client.connect(mistyped)
        client.send(b"who is there?")
        assert server.recv() == b"who is there?", "somebody else's port"

        with pytest.raises(ValueError, match="65535"):
            checked_endpoint(mistyped)


@pytest.mark.parametrize(
    "text",
    ["", "5555", "127.0.0.1:1", "http://a:80", "tcp://a", "tcp://:5555"],
)
def test_a_wrong_endpoint_ends_the_program_with_a_sentence(text: str) -> None:
    """A program refuses a wrong endpoint before it connects anywhere."""
    result = CliRunner().invoke(_program, ["--server", text])
    assert result.exit_code == 2
    assert "Invalid value" in result.output


def test_a_name_in_dns_becomes_an_endpoint_for_each_address(
    context: zmq.SyncContext,
) -> None:
    """A socket connects to every address that DNS has for a name."""
    with context.socket(zmq.REP) as server, context.socket(zmq.REQ) as client:
        port = int(bind_anywhere(server).rpartition(":")[2])
        endpoints = resolve("localhost", port)
        assert f"tcp://127.0.0.1:{port}" in endpoints
        for endpoint in endpoints:
            client.connect(endpoint)
        client.send(b"found by name")
        assert server.recv() == b"found by name"


def test_dns_names_a_server_that_is_dead(context: zmq.SyncContext) -> None:
    """DNS does not know who is alive; connecting to the dead is silent."""
    with context.socket(zmq.REP) as server, context.socket(zmq.REQ) as client:
        endpoint = bind_anywhere(server)
        server.close()
        port = int(endpoint.rpartition(":")[2])
        assert resolve("localhost", port) == [endpoint]
        client.connect(endpoint)
        client.send(b"is there anybody there?")
        assert is_silent(client)


def _free_port() -> int:
    with network.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _run_etcd(folder: Path) -> tuple[subprocess.Popen[bytes], str] | None:
    """Start etcd and wait until it is ready; None if its port was taken.

    etcd tells readiness as systemd expects it, by a datagram (sd_notify).
    """
    url = f"http://127.0.0.1:{_free_port()}"
    peers = "http://127.0.0.1:0"  # there are none
    with network.socket(network.AF_UNIX, network.SOCK_DGRAM) as notified:
        notified.bind(str(folder / "notify"))
        notified.settimeout(0.2)
        etcd = subprocess.Popen(
            [
                *("etcd", "--data-dir", folder / "data"),
                *("--listen-client-urls", url),
                *("--advertise-client-urls", url),
                *("--listen-peer-urls", peers),
                *("--initial-advertise-peer-urls", peers),
                *("--initial-cluster", f"default={peers}"),
                *("--heartbeat-interval", "100", "--election-timeout", "500"),
            ],
            env={**os.environ, "NOTIFY_SOCKET": str(folder / "notify")},
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + PATIENCE_S
        while etcd.poll() is None and time.monotonic() < deadline:
            with suppress(TimeoutError):
                if notified.recv(64).startswith(b"READY=1"):
                    return etcd, url
        etcd.kill()
        etcd.wait(PATIENCE_S)
    return None


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real etcd on loopback, which lives for this file."""
    needs("etcd")  # in Debian's etcd-server
    for _ in range(3):
        if running := _run_etcd(tmp_path_factory.mktemp("etcd")):
            break
    else:
        pytest.fail("etcd did not become ready in three tries")
    process, url = running
    yield url
    process.kill()
    process.wait(PATIENCE_S)


def test_etcd_forgets_a_server_that_does_not_come_again(etcd: str) -> None:
    """An entry under a lease goes when nobody renews it."""
    assert look_up(etcd, "once") is None
    began = time.monotonic()
    announce(etcd, "once", "tcp://127.0.0.1:5555", ttl_s=3)
    assert look_up(etcd, "once") == "tcp://127.0.0.1:5555"

    wait_until(lambda: look_up(etcd, "once") is None, "the entry is gone")
    assert time.monotonic() - began >= 3, "and not before its time"


def test_a_client_finds_a_killed_server_where_it_moved_to(
    context: zmq.SyncContext, etcd: str, spawn: Callable[..., Program]
) -> None:
    """With a registry a client finds a server again that has moved."""

    def ask() -> str | None:
        return ask_wherever_it_is(
            context, lambda: look_up(etcd, "pong"), PATIENCE_S
        )

    def times_announced() -> int:
        found = _etcd(etcd, "kv/range", key=_b64("pong")).get("kvs", [])
        return sum(int(entry["version"]) for entry in found)

    first = spawn(serve_and_announce, etcd)
    old_place = ask()
    assert old_place
    wait_until(lambda: times_announced() > 2, "the entry was renewed")
    kill(first)
    wait_until(lambda: look_up(etcd, "pong") is None, "the entry is gone")

    spawn(serve_and_announce, etcd)
    new_place = ask()
    assert new_place
    assert new_place != old_place


def test_a_client_that_hears_nothing_looks_again_and_gives_up(
    context: zmq.SyncContext, endpoint: str
) -> None:
    """A client looks again while there is silence, and gives up in time."""
    context.linger = -1  # the default, by which what it asked would stay
    looks = []

    def find() -> str:
        looks.append(time.monotonic())
        return endpoint  # where nobody is

    assert ask_wherever_it_is(context, find, wait_s=2.0) is None
    assert 2 <= len(looks) <= 7


@pytest.fixture
def beacon_port() -> Iterator[int]:
    """A free UDP port, held for this test and open to those who share."""
    with _udp() as holder:
        holder.bind((LOOPBACK, 0))
        yield int(holder.getsockname()[1])


def test_without_a_beacon_the_search_ends_in_time(beacon_port: int) -> None:
    """Who hears no beacon gives up at the deadline, not later."""
    began = time.monotonic()
    assert listen_for_beacon(beacon_port, wait_s=0.2) is None
    assert 0.2 <= time.monotonic() - began < PATIENCE_S


def test_datagrams_of_strangers_are_no_beacons(
    beacon_port: int, in_thread: Callable[..., Future[None]]
) -> None:
    """Anybody can send a datagram, so a beacon is checked like any input."""
    found = threading.Event()

    def talk() -> None:
        with _udp() as voice:
            while not found.wait(0.01):
                for datagram in (
                    b"",
                    b"\xff" * 300,
                    b"tcp://127.0.0.1:1",
                    BEACON + b"\xff",
                    BEACON + b"tcp://127.0.0.1:99999",
                    BEACON + b"tcp://127.0.0.1:5555",
                ):
                    voice.sendto(datagram, (LOOPBACK, beacon_port))

    in_thread(talk)
    endpoint = listen_for_beacon(beacon_port, wait_s=PATIENCE_S)
    found.set()
    assert endpoint == "tcp://127.0.0.1:5555"


def test_a_beacon_leads_to_a_server_that_moved(
    context: zmq.SyncContext, beacon_port: int, spawn: Callable[..., Program]
) -> None:
    """With a beacon a client finds a server that it knows nothing about."""

    def ask() -> str | None:
        return ask_wherever_it_is(
            context, lambda: listen_for_beacon(beacon_port, 1.0), PATIENCE_S
        )

    first = spawn(serve_and_beacon, str(beacon_port))
    old_place = ask()
    assert old_place
    kill(first)
    assert listen_for_beacon(beacon_port, wait_s=0.3) is None

    spawn(serve_and_beacon, str(beacon_port))
    new_place = ask()
    assert new_place
    assert new_place != old_place
