"""The command line: quick, strict, and never a traceback."""

import json
import re
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner

from pingpong.__main__ import main
from pingpong.support.endpoint import check_exposure
from tests.pingpong.conftest import Start, start_server


def test_help_loads_nothing_heavy(start: Start) -> None:
    program = start(
        "pingpong", "--help", env={"PYTHONPROFILEIMPORTTIME": "1"}
    )
    assert program.wait() == 0
    assert "Ping-pong: REQ/REP" in program.stdout
    loaded = set(re.findall(r"\| +(\w+)", program.stderr))
    assert "click" in loaded
    assert not loaded & {"zmq", "google", "rich", "grpc", "asyncio"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["client", "--count", "-1"],
        ["client", "--timeout", "0"],
        ["client", "--size", "1048577"],
        ["client", "--clients", "0"],
        ["client", "extra"],
        ["server", "--workers", "0"],
        ["server", "--work", "-1"],
        ["nothing"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_2_and_a_sentence(
    start: Start, arguments: list[str]
) -> None:
    program = start("pingpong", *arguments)
    assert program.wait() == 2
    assert "Error: " in program.stderr
    assert "Traceback" not in program.stderr


@pytest.mark.parametrize(
    ("command", "endpoint", "why"),
    [
        ("server", "ipc:///nowhere/at/all", "No such file"),
        ("server", "ipc:///" + "x" * 200, "too long"),
        ("client", "tcp://127.0.0.1:*", "Invalid argument"),
    ],
)
def test_an_endpoint_that_cannot_be_had_is_a_sentence_and_exit_1(
    start: Start, command: str, endpoint: str, why: str
) -> None:
    option = "--bind" if command == "server" else "--connect"
    program = start("pingpong", command, option, endpoint)
    assert program.wait() == 1
    assert program.stderr.startswith("Error: Cannot ")
    assert endpoint in program.stderr
    assert why in program.stderr
    assert "Traceback" not in program.stderr


@pytest.mark.parametrize("host", ["no-such-host.invalid", "x" * 300])
def test_a_host_that_nobody_knows_is_named_at_once(host: str) -> None:
    """The trap: libzmq looks for it for ever, and says nothing."""
    endpoint = f"tcp://{host}:5555"
    result = CliRunner().invoke(main, ["client", "--connect", endpoint])
    assert result.exit_code == 2
    assert f"Error: {endpoint}: " in result.output


@pytest.mark.parametrize(
    "endpoint",
    [
        *("nonsense", "tcp://", "ipc://", "carrier-pigeon://x"),
        "inproc://nobody-else-is-in-this-process",
        *("tcp://127.0.0.1", "tcp://127.0.0.1:", "tcp://127.0.0.1:no"),
        *("tcp://127.0.0.1:-1", "tcp://127.0.0.1:55x5"),
        *("tcp://127.0.0.1:65536", "tcp://127.0.0.1:99999"),
    ],
)
@pytest.mark.parametrize("option", ["server --bind", "client --connect"])
def test_what_is_no_endpoint_is_wrong_usage_and_no_other_port_is_taken(
    endpoint: str, option: str
) -> None:
    result = CliRunner().invoke(main, [*option.split(), endpoint])
    assert result.exit_code == 2
    assert f"Error: {endpoint} " in result.output
    assert ": say " in result.output  # and it says what to say


@pytest.mark.parametrize(
    "endpoint",
    [
        "tcp://0.0.0.0:5555",
        "tcp://*:5555",
        "tcp://*:*",
        "tcp://[::]:5555",
        "tcp://eth0:5555",
        "tcp://198.51.100.1:5555",
        "tcp://:5555",
    ],
)
def test_what_others_could_reach_is_refused_with_a_way_out(
    start: Start, endpoint: str
) -> None:
    program = start("pingpong", "server", "--bind", endpoint)
    assert program.wait() == 2
    assert f"Error: {endpoint} can be reached from other" in program.stderr
    assert "--insecure" in program.stderr
    assert program.stdout == ""


@pytest.mark.parametrize(
    "endpoint",
    [
        *("tcp://127.0.0.1:*", "tcp://127.1.2.3:5555", "tcp://[::1]:5555"),
        *("tcp://localhost:5555", "tcp://lo:5555", "ipc:///tmp/x", "ipc://*"),
    ],
)
def test_what_nobody_else_can_reach_is_not_refused(endpoint: str) -> None:
    check_exposure(endpoint)


def test_a_server_that_is_told_insecure_binds_where_it_is_told(
    start: Start,
) -> None:
    # This address is for documentation: no machine has it, so bind is tried
    # and no door is opened.
    program = start(
        *("pingpong", "server", "--insecure"),
        *("--bind", "tcp://198.51.100.1:5555"),
    )
    assert program.wait() == 1
    assert "Cannot assign requested address" in program.stderr


def test_a_server_whose_port_is_taken_says_so(
    start: Start, endpoint: str
) -> None:
    start_server(start, endpoint)
    second = start("pingpong", "server", "--bind", endpoint)
    assert second.wait() == 1
    assert f"Cannot serve on {endpoint}: Address already" in second.stderr


def test_options_come_from_the_environment_too(start: Start) -> None:
    server = start(
        *("pingpong", "server"),
        env={"PINGPONG_SERVER_BIND": "tcp://127.0.0.1:*"},
    )
    endpoint = server.wait_for(r"Listening on (tcp://127.0.0.1:\d+)$")[1]
    client = start(
        *("pingpong", "client", "--interval", "0", "--json"),
        env={
            "PINGPONG_CLIENT_CONNECT": endpoint,
            "PINGPONG_CLIENT_COUNT": "3",
        },
    )
    assert client.wait() == 0
    assert json.loads(client.stdout)["received"] == 3


def test_the_largest_payload_comes_back(start: Start, endpoint: str) -> None:
    start_server(start, endpoint)
    client = start(
        *("pingpong", "client", "--connect", endpoint, "--count", "2"),
        *("--interval", "0", "--size", str(1024 * 1024 - 64)),
    )
    assert client.wait() == 0


def test_nothing_from_the_demo_is_lost(start: Start) -> None:
    # Two at once: neither may take a port or a path from the other.
    demos = [start("pingpong", "demo"), start("pingpong", "demo")]
    for demo in demos:
        assert demo.wait() == 0, demo.stderr
        assert "ended with status -9" in demo.stdout
        assert "108 sent, 108 received, 0 lost" in demo.stdout
        assert " 0 retries" not in demo.stdout
        assert "\x1b" not in demo.stdout
        assert len(demo.stdout.splitlines()) < 24
        assert max(map(len, demo.stdout.splitlines())) <= 80
        assert demo.stderr == ""


@pytest.mark.parametrize(
    "command", ["client --clients 2 --count 0", "server --workers 2"]
)
def test_a_thread_that_the_system_refuses_ends_it_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    """The trap: those that did start are waited for, and go on for ever."""
    start = Thread.start

    def refuse_the_second(thread: Thread) -> None:
        if thread.name.endswith("_1"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(Thread, "start", refuse_the_second)
    option = "--connect" if command.startswith("client") else "--bind"
    result = CliRunner().invoke(
        main, [*command.split(), option, f"ipc://{tmp_path}/x"]
    )
    assert result.exit_code == 1
    assert "Error: Cannot " in result.output
    assert "can't start new thread." in result.output
