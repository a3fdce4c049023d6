"""The command line: quick, strict, and never a traceback."""

import json
import re
import tomllib
from pathlib import Path
from pkgutil import resolve_name
from threading import Thread

import pytest
from click.testing import CliRunner

from pingpong import __version__
from pingpong.__main__ import main
from tests.pingpong.conftest import Start, start_server
from tests.support import ROOT


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
        ["server", "--work", "nan"],
        ["client", "--interval", "nan"],
        ["client", "--timeout", "NaN"],
        ["client", "--deadline", "inf"],
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
        ("server", "tcp://198.51.100.1:5555 --insecure", "Cannot assign"),
    ],
)
def test_an_endpoint_that_cannot_be_had_is_a_sentence_and_exit_1(
    start: Start, command: str, endpoint: str, why: str
) -> None:
    option = "--bind" if command == "server" else "--connect"
    program = start("pingpong", command, option, *endpoint.split())
    assert program.wait() == 1
    assert program.stderr.startswith("Error: Cannot ")
    assert endpoint.split()[0] in program.stderr
    assert why in program.stderr
    assert "Traceback" not in program.stderr


@pytest.mark.parametrize(
    "endpoint",
    [
        *("nonsense", "inproc://nobody-else-is-in-this-process"),
        *("tcp://127.0.0.1", "tcp://127.0.0.1:99999", "tcp://:5555"),
        *("tcp://no-such-host.invalid:5555", "tcp://[::1%nowhere]:5555"),
        *("ipc:///" + "x" * 200, "ipc://\udcff"),
    ],
    ids=lambda endpoint: ascii(endpoint[:30]),
)
@pytest.mark.parametrize("option", ["server --bind", "client --connect"])
def test_what_is_no_endpoint_is_wrong_usage_and_a_sentence(
    endpoint: str, option: str
) -> None:
    """The table of forms is in test_endpoint.py."""
    result = CliRunner().invoke(main, [*option.split(), endpoint])
    assert result.exit_code == 2
    assert re.search(r"Error: .*\.$", result.output.strip())
    assert "Traceback" not in result.output


@pytest.mark.parametrize("endpoint", ["tcp://0.0.0.0:*", "tcp://[::]:*"])
def test_what_others_could_reach_is_refused_with_a_way_out(
    start: Start, endpoint: str
) -> None:
    program = start("pingpong", "server", "--bind", endpoint)
    assert program.wait() == 2
    assert f"Error: {endpoint} can be reached from other" in program.stderr
    assert "--insecure" in program.stderr
    assert program.stdout == ""


def test_an_ipv6_server_answers_an_ipv6_client(start: Start) -> None:
    server = start("pingpong", "server", "--bind", "tcp://[::1]:*")
    endpoint = server.wait_for(r"Listening on (tcp://\[::1\]:\d+)$")[1]
    client = start(
        *("pingpong", "client", "--connect", endpoint, "--count", "1")
    )
    assert client.wait() == 0


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


def test_a_variable_is_an_option_that_is_no_number_too(start: Start) -> None:
    client = start(
        "pingpong", "client", env={"PINGPONG_CLIENT_INTERVAL": "nan"}
    )
    assert client.wait() == 2
    assert "no number of seconds" in client.stderr
    assert "Traceback" not in client.stderr


def test_each_option_has_the_variable_that_its_name_implies() -> None:
    """The trap: click names it after the parameter, say `as_json`."""
    for command in main.commands.values():
        for option in command.params:
            longest = max(option.opts, key=len)
            assert option.name == longest.lstrip("-").replace("-", "_")
            assert option.envvar is None


def test_every_command_is_explained_in_a_line_that_is_not_cut(
    start: Start,
) -> None:
    program = start("pingpong", "-h")
    assert program.wait() == 0
    assert "..." not in program.stdout.partition("Commands:")[2]
    assert max(map(len, program.stdout.splitlines())) <= 80


def test_the_version_is_the_one_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert __version__ == project["version"]
    result = CliRunner().invoke(main, ["--version"])
    assert result.output.endswith(f"version {__version__}\n")


def test_the_console_script_completes_in_a_shell() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert resolve_name(project["scripts"]["pingpong"]) is main
    result = CliRunner().invoke(
        main,
        prog_name="pingpong",
        env={
            "_PINGPONG_COMPLETE": "bash_complete",
            "COMP_WORDS": "pingpong cl",
            "COMP_CWORD": "1",
        },
    )
    assert result.output == "plain,client\n"


def test_short_options_are_those_of_ping(start: Start, endpoint: str) -> None:
    start_server(start, endpoint)
    client = start(
        *("pingpong", "client", "--connect", endpoint, "-q"),
        *("-c", "3", "-i", "0", "-W", "5", "-s", "100", "-w", "60"),
    )
    assert client.wait() == 0
    first, *_, counts, times = client.stdout.splitlines()
    assert first == f"PING {endpoint}: 100 bytes of payload"
    assert counts == "3 sent, 3 received, 0 lost (0 %), 0 retries"
    assert times.startswith("rtt min/avg/p50/p99/max = ")
    assert "pong" not in client.stdout.replace("pingpong", "")


@pytest.mark.parametrize("count", ["0", "3"])
def test_a_deadline_ends_a_client_that_nobody_answers_with_exit_1(
    start: Start, endpoint: str, count: str
) -> None:
    client = start(
        *("pingpong", "client", "--connect", endpoint, "-c", count),
        *("-w", "0.3", "-W", "600"),
    )
    assert client.wait() == 1
    assert "interrupted seq=1\n" in client.stdout
    assert "1 sent, 0 received, 0 lost (0 %), 1 int" in client.stdout
    assert client.stderr == ""


@pytest.mark.slow
def test_a_deadline_ends_a_client_without_a_count_well(
    start: Start, endpoint: str
) -> None:
    start_server(start, endpoint)
    client = start(
        *("pingpong", "client", "--connect", endpoint, "-c", "0"),
        *("-w", "2", "-i", "0.01"),
    )
    assert client.wait() == 0
    assert " 0 lost (0 %)" in client.stdout


def test_the_largest_payload_comes_back(start: Start, endpoint: str) -> None:
    start_server(start, endpoint)
    client = start(
        *("pingpong", "client", "--connect", endpoint, "--count", "2"),
        *("--interval", "0", "--size", str(1024 * 1024 - 64)),
    )
    assert client.wait() == 0


@pytest.mark.slow
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


def test_a_demo_that_takes_too_long_ends_with_a_sentence(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "impatient.py").write_text(
        "import pingpong.demo, pingpong.__main__ as cli\n"
        "pingpong.demo.PATIENCE = 0.2\n"
        "cli.main(['demo'])\n"
    )
    demo = start("impatient", env={"PYTHONPATH": f"{tmp_path}:{ROOT}"})
    assert demo.wait() == 1
    assert demo.stderr == (
        "Error: Cannot play the demo: not done in 0.2 s.\n"
    )
    assert demo.stdout.splitlines()[-1].startswith("2. ")


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


def test_a_full_disk_behind_stdout_is_a_sentence_and_exit_1(
    start: Start, endpoint: str
) -> None:
    """The trap: Python writes again at its end, and exits with 120."""
    start_server(start, endpoint)
    client = start(
        *("pingpong", "client", "--connect", endpoint, "-c", "1", "--json"),
        within=["sh", "-c", 'exec "$@" > /dev/full', "sh"],
    )
    assert client.wait() == 1
    assert "No space left on device" in client.stderr
    assert len(client.stderr.splitlines()) == 1
