"""Whatever ends either side, it ends at once, and leaves nothing behind."""

import os
import select
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from pingpong.support.stop import Stop, ending_signals
from tests.pingpong.conftest import Start, start_server
from tests.support import PATIENCE_S, ROOT, Program

# The promise is one second; the rest is for a machine under load.
AT_ONCE_S = 5.0

EACH = pytest.mark.parametrize(
    "number",
    [signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
    ids=lambda number: number.name,
)


def end(program: Program, number: signal.Signals) -> int:
    began = time.monotonic()
    program.signal(number)
    code = program.wait()
    assert time.monotonic() - began < AT_ONCE_S
    assert program.stderr == ""
    return code


@EACH
@pytest.mark.parametrize("workers", ["1", "3"])
def test_a_server_ends_with_a_summary_and_leaves_no_file(
    start: Start, tmp_path: Path, number: signal.Signals, workers: str
) -> None:
    path = tmp_path / "server.ipc"
    server = start_server(start, f"ipc://{path}", "--workers", workers)
    assert path.is_socket()
    assert end(server, number) == 0
    assert "Answered 0 pings, refused 0 requests" in server.stdout
    assert not path.exists()


def test_a_path_that_libzmq_made_up_is_gone_as_well(
    start: Start, tmp_path: Path
) -> None:
    # It makes a folder in TMPDIR, or in the current one.
    server = start(
        *("pingpong", "server", "--bind", "ipc://*"),
        cwd=tmp_path,
        env={"TMPDIR": str(tmp_path)},
    )
    server.wait_for("Listening on ipc://")
    assert list(tmp_path.iterdir())
    assert end(server, signal.SIGTERM) == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "3"])
def test_a_server_in_the_middle_of_its_work_ends_as_quickly(
    start: Start, endpoint: str, workers: str
) -> None:
    server = start_server(
        start, endpoint, "--work", "600", "--workers", workers
    )
    client = start(
        *("pingpong", "client", "--connect", endpoint, "--count", "1"),
        *("--timeout", "0.3", "--retries", "100"),
    )
    client.wait_for("try 5")  # so one try has reached the server
    assert end(server, signal.SIGINT) == 0
    assert "Answered 0 pings" not in server.stdout


def test_a_signal_that_comes_twice_in_one_breath_is_still_heard_as_one(
    start: Start, endpoint: str
) -> None:
    # timeout(1) sends its signal to the child and then to the child's group.
    # It finds both when it goes on, however late the second was sent.
    server = start_server(start, endpoint)
    for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM):
        server.signal(number)
    assert end(server, signal.SIGCONT) == 0
    assert "Answered 0 pings" in server.stdout


@EACH
def test_a_client_that_runs_until_it_is_told_ends_well(
    start: Start, endpoint: str, number: signal.Signals
) -> None:
    start_server(start, endpoint)
    client = start(
        *("pingpong", "client", "--connect", endpoint, "--count", "0"),
        *("--interval", "0.01"),
    )
    client.wait_for("seq=5 ")
    assert end(client, number) == 0
    assert " sent, " in client.stdout
    assert "rtt min/avg/p50/p99/max" in client.stdout


@EACH
def test_a_client_that_is_interrupted_before_its_count_says_so(
    start: Start, endpoint: str, number: signal.Signals
) -> None:
    client = start(
        *("pingpong", "client", "--connect", endpoint, "--count", "3"),
        *("--timeout", "600", "--interval", "0"),
    )
    client.wait_for("PING")
    assert end(client, number) == 130
    assert "interrupted seq=1\n" in client.stdout
    counts = "1 sent, 0 received, 0 lost (0 %), 1 interrupted"
    assert counts in client.stdout


def test_a_client_that_was_never_answered_has_not_ended_well(
    start: Start, endpoint: str
) -> None:
    client = start(
        *("pingpong", "client", "--connect", endpoint, "--count", "0"),
        *("--timeout", "600"),
    )
    client.wait_for("PING")
    assert end(client, signal.SIGINT) == 1


def test_ctrl_backslash_shows_the_statistics_and_the_pings_go_on(
    start: Start, endpoint: str
) -> None:
    start_server(start, endpoint)
    client = start(
        *("pingpong", "client", "--connect", endpoint, "--count", "0"),
        *("--interval", "0.01"),
    )
    client.wait_for("seq=5 ")
    for _ in range(2):
        client.signal(signal.SIGQUIT)
        client.wait_for_stderr(r"^\d+ sent, \d+ received, 0 lost \(0 %\)")
    seen = len(client.stdout.splitlines())
    client.wait_for(f"seq={seen + 5} ")
    client.signal(signal.SIGINT)
    assert client.wait() == 0


@pytest.mark.parametrize("module", ["click", "zmq"])
def test_an_interruption_of_a_command_that_still_loads_says_nothing(
    start: Start, tmp_path: Path, module: str
) -> None:
    """The trap: what is caught around the work is not caught before it."""
    (tmp_path / f"{module}.py").write_text(
        "import os, signal; os.kill(os.getpid(), signal.SIGINT)"
    )
    client = start(
        *("pingpong", "client"), env={"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    )
    assert client.wait() == -signal.SIGINT  # to a shell this is 130
    assert client.stderr == ""


def test_a_signal_that_comes_when_all_is_done_changes_no_exit_status() -> (
    None
):
    """The trap: what is put back as it was kills, whatever was achieved."""
    numbers = ending_signals()
    before = [signal.getsignal(number) for number in numbers]
    try:
        with Stop() as stop, stop.on_signals():
            signal.raise_signal(signal.SIGTERM)
            assert stop.wait(PATIENCE_S)
        now = {signal.getsignal(number) for number in numbers}
        assert now == {signal.SIG_IGN}
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def test_a_server_under_nohup_survives_the_end_of_its_terminal(
    start: Start, endpoint: str
) -> None:
    server = start(
        *("pingpong", "server", "--bind", endpoint), within=["nohup"]
    )
    server.wait_for("Listening")
    server.signal(signal.SIGHUP)
    client = start(
        *("pingpong", "client", "--connect", endpoint, "--count", "1")
    )
    assert client.wait() == 0
    assert end(server, signal.SIGTERM) == 0


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGHUP], ids=lambda number: number.name
)
def test_the_servers_of_a_demo_end_with_it_however_it_ends(
    start: Start, number: signal.Signals
) -> None:
    demo = start("pingpong", "demo")
    pid = int(demo.wait_for(r"server (\d+) listens")[1])
    server = os.pidfd_open(pid)
    try:
        demo.signal(number)
        ended = select.poll()
        ended.register(server, select.POLLIN)
        assert ended.poll(PATIENCE_S * 1000), f"process {pid} is still there"
    finally:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(server, signal.SIGKILL)
        os.close(server)
