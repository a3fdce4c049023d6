"""Many at once: every answer finds the one who asked."""

import json
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zmq

from pingpong.broker import forward
from pingpong.messages_pb2 import Ping, Pong
from pingpong.support.stop import Stop
from tests.pingpong.conftest import Start, start_server
from tests.support import PATIENCE_S


@pytest.mark.slow
def test_no_answer_crosses_to_another_of_seven_clients(
    start: Start, endpoint: str
) -> None:
    # Each client sends a payload of its own and takes no other back.
    server = start_server(start, endpoint, "--workers", "3")
    clients = start(
        *("pingpong", "client", "--connect", endpoint, "--clients", "7"),
        *("--count", "500", "--interval", "0", "--timeout", "20", "--json"),
    )
    assert clients.wait() == 0
    report = json.loads(clients.stdout)
    assert report["sent"] == report["received"] == 7 * 500
    assert report["reasons"] == {}
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert f"Answered {7 * 500} pings, refused 0" in server.stdout


@pytest.mark.slow
def test_several_workers_work_at_the_same_time(
    start: Start, endpoint: str
) -> None:
    # Four answer after 3 s; were one to serve two, the second had 6 s.
    start_server(start, endpoint, "--workers", "4", "--work", "3")
    clients = start(
        *("pingpong", "client", "--connect", endpoint, "--clients", "4"),
        *("--count", "1", "--timeout", "20", "--json"),
    )
    assert clients.wait() == 0
    assert json.loads(clients.stdout)["rtt_ms"]["max"] < 6_000


def test_requests_that_no_worker_will_answer_do_not_fill_the_broker(
    start: Start, endpoint: str, context: zmq.SyncContext
) -> None:
    # A REP worker drops what has no envelope, and so no reply makes room.
    start_server(start, endpoint, "--workers", "3")
    with context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        dealer.sndtimeo = dealer.rcvtimeo = int(PATIENCE_S * 1000)
        dealer.connect(endpoint)
        for _ in range(2_000):
            dealer.send(b"no envelope")
        ping = Ping(id=7).SerializeToString()
        dealer.send_multipart([b"", ping])
        assert Pong.FromString(dealer.recv_multipart()[1]).id == 7


def test_the_broker_can_be_stopped_when_its_workers_have_gone_first(
    context: zmq.SyncContext,
) -> None:
    # They hear of a stop as it does, so they may be quicker. A request that
    # comes just then has nowhere to go, and a plain send waits for ever.
    with (
        context.socket(zmq.ROUTER) as router,
        context.socket(zmq.DEALER) as dealer,
        context.socket(zmq.REQ) as client,
        ThreadPoolExecutor(1) as pool,
        Stop() as stop,
    ):
        for each in (router, dealer, client):
            each.linger = 0
        router.bind("inproc://front")
        dealer.bind("inproc://back")
        client.connect("inproc://front")
        with context.socket(zmq.REP) as worker:
            worker.connect("inproc://back")
            broker = pool.submit(forward, router, dealer, stop)
            assert not stop.wait(0.2)  # time for it to see the worker's room
        client.send(b"anyone?")
        assert not stop.wait(0.2)  # time for it to walk into the trap
        stop.set()
        try:
            broker.result(PATIENCE_S / 3)
        except TimeoutError:  # free it, so that this fails and not hangs
            with context.socket(zmq.REP) as rescue:
                rescue.linger = 0
                rescue.connect("inproc://back")
                broker.result(PATIENCE_S / 3)
            raise


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "3"])
def test_an_ipc_server_is_not_robbed_of_its_path_by_a_second_one(
    start: Start, tmp_path: Path, workers: str
) -> None:
    path = f"ipc://{tmp_path}/server.ipc"
    start_server(start, path)
    thief = start("pingpong", "server", "--bind", path, "--workers", workers)
    assert thief.wait() == 1
    assert re.search(
        r"Cannot serve on .*: Address already in use", thief.stderr
    )
    client = start("pingpong", "client", "--connect", path, "--count", "1")
    assert client.wait() == 0


def test_a_file_that_is_no_socket_is_not_deleted_for_an_endpoint(
    start: Start, tmp_path: Path
) -> None:
    diary = tmp_path / "diary.txt"
    diary.write_text("dear diary")
    server = start("pingpong", "server", "--bind", f"ipc://{diary}")
    assert server.wait() == 1
    assert "File exists" in server.stderr
    assert diary.read_text() == "dear diary"


@pytest.mark.slow
def test_a_killed_ipc_server_leaves_a_file_that_the_next_one_takes_over(
    start: Start, tmp_path: Path
) -> None:
    path = f"ipc://{tmp_path}/server.ipc"
    first = start_server(start, path)
    first.signal(signal.SIGKILL)
    first.wait()
    start_server(start, path)
    client = start("pingpong", "client", "--connect", path, "--count", "1")
    assert client.wait() == 0
