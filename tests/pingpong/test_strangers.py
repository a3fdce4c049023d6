"""What a peer may cost that has not even shaken hands, or never means to."""

import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import zmq

from pingpong.client import Client, LostError
from pingpong.messages_pb2 import Ping, Pong
from pingpong.support.bind import bound
from pingpong.support.monitor import watched
from pingpong.support.receive import MAX_MESSAGE
from pingpong.support.stats import REASONS, Outcome, Report
from pingpong.support.stop import Stop
from tests.pingpong.conftest import Start, start_server
from tests.support import PATIENCE_S


@pytest.mark.slow
def test_a_peer_that_says_nothing_is_cut_off(
    endpoint: str, start: Start
) -> None:
    start_server(start, endpoint)
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    with socket.create_connection((host, int(port)), PATIENCE_S) as silent:
        began = time.monotonic()
        while silent.recv(4096):  # first comes the server's greeting
            pass
        assert time.monotonic() - began < 10  # libzmq's own limit is 30 s


@pytest.mark.slow
def test_silent_peers_that_use_up_all_descriptors_delay_a_ping_at_most(
    start: Start, endpoint: str
) -> None:
    server = start(
        *("pingpong", "server", "--bind", endpoint),
        within=["sh", "-c", 'ulimit -n 100; exec "$@"', "sh"],
    )
    server.wait_for("Listening")
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    with ExitStack() as stack:
        for _ in range(150):
            stack.enter_context(
                socket.create_connection((host, int(port)), PATIENCE_S)
            )
        client = start(
            *("pingpong", "client", "--connect", endpoint, "-c", "2"),
            *("-W", "1", "--retries", "30"),
        )
        assert client.wait() == 0
    assert server.stderr == ""


def test_a_server_takes_all_descriptors_that_it_may_have(
    start: Start, endpoint: str
) -> None:
    server = start(
        *("pingpong", "server", "--bind", endpoint),
        within=["sh", "-c", 'ulimit -Sn 100; exec "$@"', "sh"],
    )
    server.wait_for("Listening")
    limits = Path(f"/proc/{server.pid}/limits").read_text()
    soft, most = re.findall(r"Max open files\s+(\d+)\s+(\d+)", limits)[0]
    assert soft == most


def test_a_client_that_gave_up_too_early_is_no_stranger(
    context: zmq.SyncContext,
) -> None:
    """The trap: after the last try one socket more, shut in mid-greeting."""
    with (
        Stop() as never,
        bound(context, zmq.REP, "tcp://127.0.0.1:*") as rep,
        watched(rep) as seen,
    ):
        for _ in range(3):
            with (
                Client(
                    *(context, rep.get_string(zmq.LAST_ENDPOINT), never),
                    timeout=0.5,
                    retries=0,
                ) as client,
                pytest.raises(LostError),
            ):
                client.ask(Ping(id=7))
    assert (seen.accepted, seen.strangers) == (3, 0)


@pytest.mark.slow
def test_a_reply_that_is_longer_than_any_pong_is_not_taken(
    context: zmq.SyncContext,
) -> None:
    with (
        Stop() as never,
        context.socket(zmq.REP) as rep,
        ThreadPoolExecutor(1) as pool,
    ):
        rep.linger = 0
        rep.rcvtimeo = int(PATIENCE_S * 1000)
        rep.bind("tcp://127.0.0.1:*")
        endpoint = rep.get_string(zmq.LAST_ENDPOINT)

        def answer_twice() -> None:
            rep.recv()
            rep.send(bytes(MAX_MESSAGE + 1))
            again = Ping.FromString(rep.recv())
            rep.send(Pong(id=again.id).SerializeToString())

        with Client(
            context, endpoint, never, timeout=2, retries=20
        ) as client:
            answering = pool.submit(answer_twice)
            assert client.ask(Ping(id=7)) == Pong(id=7)
            assert client.retried >= 1
            answering.result(PATIENCE_S)


def test_a_server_with_a_new_excuse_each_time_fills_no_memory() -> None:
    report = Report()
    for seq in range(1, 10 * REASONS):
        report.add(Outcome(seq, 0, lost=f"the server refused: '{seq}'"))
    assert len(report.reasons) == REASONS + 1
    assert report.reasons.total() == report.lost


def test_what_a_server_says_reaches_no_terminal_raw(
    start: Start, context: zmq.SyncContext
) -> None:
    with context.socket(zmq.REP) as rep:
        rep.linger = 0
        rep.rcvtimeo = int(PATIENCE_S * 1000)
        rep.bind("tcp://127.0.0.1:*")
        client = start(
            *("pingpong", "client", "-c", "1", "--connect"),
            rep.get_string(zmq.LAST_ENDPOINT),
        )
        rep.recv()
        title = "\x1b]0;title\x07\r\npong seq=2\u202e\x9b2J"
        rep.send(Pong(error=title).SerializeToString())
        assert client.wait() == 1
    assert re.search(
        r"lost seq=1: the server refused: '.x1b\]0;title.x07", client.stdout
    )
    assert not set("\x1b\x07\r\x9b\u202e") & set(client.stdout)
    assert "\npong" not in client.stdout
