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
    assert all("interrupted" in line for line in lost)


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


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        ("server nonsense", "is no endpoint: say tcp://HOST:PORT"),
        ("server tcp://127.0.0.1:99999", "does not end in a port"),
        ("server tcp://127.0.0.1", "does not end in a port"),
        ("server tcp://", "does not end in a port"),
        ("server tcp://*:*", "can be reached from other machines"),
        ("server tcp://0.0.0.0:*", "can be reached from other machines"),
        ("server tcp://[::]:*", "can be reached from other machines"),
        ("server ipc:// x", "Usage: server"),
        ("server --unsafe", "Usage: server"),
        ("client tcp://127.0.0.1:*", "does not end in a port"),
        ("client tcp://127.0.0.1:0", "does not end in a port"),
        ("client tcp://127.0.0.1:1 -1", "-1 is not a number"),
        ("client tcp://127.0.0.1:1 0", "0 is not a number from 1"),
        ("client tcp://127.0.0.1:1 1 1 1", "Usage: client"),
    ],
)
def test_wrong_usage_of_the_c_twin_is_exit_2_and_a_sentence(
    start: Start, build: Path, argv: str, why: str
) -> None:
    name, *arguments = argv.split()
    program = start(str(build / name), *arguments)
    assert program.wait() == 2
    assert why in program.stderr
    assert program.stdout == ""


@pytest.mark.parametrize("name", ["server", "client"])
def test_the_c_twin_helps(start: Start, build: Path, name: str) -> None:
    program = start(str(build / name), "--help")
    assert program.wait() == 0
    assert program.stdout.startswith(f"Usage: {name} ")


def test_the_c_server_takes_no_path_and_no_file_from_anybody(
    start: Start, build: Path, tmp_path: Path
) -> None:
    diary, path = tmp_path / "diary.txt", tmp_path / "server.ipc"
    diary.write_text("dear diary")
    robber = start(str(build / "server"), f"ipc://{diary}")
    assert robber.wait() == 1
    assert "File exists" in robber.stderr
    assert diary.read_text() == "dear diary"
    first = start(str(build / "server"), f"ipc://{path}")
    first.wait_for("Listening")
    second = start(str(build / "server"), f"ipc://{path}")
    assert second.wait() == 1
    assert "Address already in use" in second.stderr
    first.signal(signal.SIGKILL)
    first.wait()
    third = start(str(build / "server"), f"ipc://{path}")
    third.wait_for("Listening")
    third.signal(signal.SIGTERM)
    assert third.wait() == 0
    assert not path.exists()


def test_the_c_twin_speaks_ipv6(start: Start, build: Path) -> None:
    server = start(str(build / "server"), "tcp://[::1]:*")
    endpoint = server.wait_for(r"Listening on (tcp://\[::1\]:\d+)$")[1]
    client = start(str(build / "client"), endpoint, "1", "0")
    assert client.wait() == 0


def test_nothing_in_the_c_client_is_undefined_without_a_payload(
    start: Start, tmp_path: Path, endpoint: str
) -> None:
    """The trap: memcmp of no bytes at NULL, which a sanitizer aborts."""
    needs(*TOOLS)
    done = subprocess.run(
        [
            *("make", "-C", str(ROOT / "pingpong/c"), f"BUILD={tmp_path}"),
            "CFLAGS=-std=c11 -g -fsanitize=undefined -fno-sanitize-recover",
        ],
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    start_server(start, endpoint)
    client = start(str(tmp_path / "client"), endpoint, "3", "0")
    assert client.wait() == 0
    assert client.stderr == ""
