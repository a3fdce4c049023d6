"""The bench measures what it says, and names what it left out."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from plugin_system.bench import lines, measure
from plugin_system.host.runtime_folder import sweep
from tests.support import Program

from .conftest import LONG_S
from .test_outcomes import wait_until_gone


def test_a_short_bench_has_every_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)  # as if not installed
    monkeypatch.setattr("plugin_system.bench.STARTS", 2)
    result = measure(calls=100, faults=3)
    names = [row["name"] for row in result["rows"]]
    assert names[0].startswith("bare REQ/REP")
    assert names[1] == "Executor.call"
    for row in result["rows"]:
        assert 0 < row["median_s"] <= row["p99_s"] <= row["max_s"]
    assert set(result["machine"]) == {"cpu", "cores", "system"}
    assert result["left_out"] == ["gRPC, since grpcio is not installed"]
    assert all(len(line) <= 80 for line in lines(result))


def test_grpc_is_a_row_where_it_is_installed() -> None:
    result = measure(calls=100, faults=3)
    assert "gRPC over a Unix socket" in str(result["rows"])
    assert not result["left_out"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_bench_that_is_ended_leaves_no_process_and_no_traceback(
    start: Callable[..., Program], folder: Path, number: signal.Signals
) -> None:
    """The trap: Ctrl-C in a terminal hits all of them, SIGKILL only one."""
    bench = start(
        *("plugin_system", "bench"),
        env={"TMPDIR": str(folder), "XDG_RUNTIME_DIR": str(folder)},
    )
    children = Path(f"/proc/{bench.pid}/task/{bench.pid}/children")
    deadline = time.monotonic() + LONG_S
    # The servers of ZeroMQ and gRPC, of a pipe and a pool, and what
    # multiprocessing starts for these two.
    while len(pids := children.read_text().split()) < 5:
        assert time.monotonic() < deadline, pids
    if number is signal.SIGINT:
        os.killpg(bench.pid, number)
        assert bench.wait() == 130
        assert bench.stderr == ""
    else:
        bench.signal(number)
    for pid in pids:
        wait_until_gone(int(pid))
    sweep(folder)  # as the next host does
    assert not list(folder.iterdir())
