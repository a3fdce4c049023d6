"""The schema crosses languages: C and Python are each other's peer."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq

from pingpong.messages_pb2 import Pong
from tests.pingpong.conftest import Start, start_server
from tests.support import ROOT, Program, needs

TOOLS = ("cc", "make", "pkg-config", "protoc-c")


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs(*TOOLS)
    into = tmp_path_factory.mktemp("pingpong-c")
    done = subprocess.run(
        ["make", "-C", str(ROOT / "pingpong/c"), f"BUILD={into}"],
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    return into


@pytest.fixture
def c_server(
    start: Start, build: Path, endpoint: str
) -> Callable[[], Program]:
    def run() -> Program:
        server = start(str(build / "server"), endpoint)
        server.wait_for(f"Listening on {endpoint}")
        return server

    return run


def test_a_python_client_is_answered_by_the_c_server(
    start: Start, c_server: Callable[[], Program], endpoint: str
) -> None:
    server = c_server()
    client = start(
        *("pingpong", "client", "--connect", endpoint, "--count", "200"),
        *("--interval", "0", "--size", "1000"),
    )
    assert client.wait() == 0
    assert "200 sent, 200 received, 0 lost" in client.stdout
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert "Answered 200 pings, refused 0" in server.stdout


@pytest.mark.parametrize("workers", ["1", "3"])
def test_the_c_client_is_answered_by_a_python_server(
    start: Start, build: Path, endpoint: str, workers: str
) -> None:
    start_server(start, endpoint, "--workers", workers)
    client = start(str(build / "client"), endpoint, "200", "1000")
    assert client.wait() == 0
    assert "200 sent, 200 received, 0 lost" in client.stdout


def test_the_c_client_survives_its_server_like_the_python_one(
    start: Start,
    build: Path,
    c_server: Callable[[], Program],
    endpoint: str,
) -> None:
    first = c_server()
    client = start(str(build / "client"), endpoint, "100000000", "0")
    client.wait_for("seq=100 ")
    first.signal(signal.SIGKILL)
    first.wait()
    c_server()
    before = len(client.stdout.splitlines())
    client.wait_for(rf"seq={before + 1000} ")
    client.signal(signal.SIGINT)
    assert client.wait() == 130
    lost = [line for line in client.stdout.splitlines() if "lost seq" in line]
    assert all(line.endswith(": interrupted") for line in lost)


def test_the_c_client_gives_up_on_an_answer_that_is_no_pong(
    start: Start, build: Path, context: zmq.SyncContext
) -> None:
    with context.socket(zmq.REP) as rep:
        rep.linger = 0
        rep.rcvtimeo = 20_000
        rep.bind("tcp://127.0.0.1:*")
        at = rep.get_string(zmq.LAST_ENDPOINT)
        client = start(str(build / "client"), at, "1")
        rep.recv()
        rep.send(b"\xff\xff")
        assert client.wait() == 1
    assert "the server's answer is not a Pong" in client.stdout


def test_the_c_server_refuses_what_is_no_ping(
    c_server: Callable[[], Program],
    endpoint: str,
    context: zmq.SyncContext,
) -> None:
    server = c_server()
    refused = 0
    for frames in ([b""], [b"\xff\xff"], [b"a", b"b"], [b"x" * 1_500_000]):
        with context.socket(zmq.REQ) as req:
            req.linger = 0
            req.rcvtimeo = 20_000
            req.connect(endpoint)
            req.send_multipart(frames)
            pong = Pong.FromString(req.recv())
        assert pong.id == 0
        assert pong.error
        refused += 1
    server.signal(signal.SIGINT)
    assert server.wait() == 0
    assert f"Answered 0 pings, refused {refused} requests" in server.stdout


def test_c_says_that_it_cannot_print(
    start: Start, build: Path, endpoint: str
) -> None:
    """The trap: printf into a full disk succeeds, and so does the program."""
    start_server(start, endpoint)
    full = ["sh", "-c", 'exec "$@" > /dev/full', "sh"]
    for argv in (["client", endpoint, "1"], ["server", "tcp://127.0.0.1:*"]):
        program = start(str(build / argv[0]), *argv[1:], within=full)
        assert program.wait() == 1
        assert program.stderr == "Cannot print: No space left on device.\n"
