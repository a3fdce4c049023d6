"""The bench measures what it says, and names what it left out."""

import os
import signal
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from plugin_system.host.runtime_folder import sweep
from slides.bench import plugin_system
from slides.bench.plugin_system import measure
from tests.support import PATIENCE_S, Program

pytestmark = pytest.mark.slow


def test_a_short_bench_has_every_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        plugin_system, "find_spec", lambda _: None
    )  # no grpcio
    result = measure(calls=100, faults=3)
    names = [row.name for row in result.rows]
    assert names[0].startswith("bare REQ/REP")
    assert names[1] == "Executor.call"
    for row in result.rows:
        assert row.p99_s and 0 < row.median_s <= row.p99_s
    assert {"cpu", "cores", "system"} <= set(result.machine)
    assert result.left_out == {"gRPC": "grpcio is not installed"}


@pytest.mark.skipif(not find_spec("grpc"), reason="no grpcio here")
def test_grpc_is_a_row_where_it_is_installed() -> None:
    result = measure(calls=100, faults=3)
    assert "gRPC over a Unix socket" in [row.name for row in result.rows]
    assert not result.left_out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_bench_that_is_ended_leaves_no_process_and_no_traceback(
    start: Callable[..., Program], tmp_path: Path, number: signal.Signals
) -> None:
    """The trap: Ctrl-C in a terminal hits all of them, SIGKILL only one."""
    bench = start(
        *("slides", "bench", "plugin_system"),
        env={"TMPDIR": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)},
    )
    children = Path(f"/proc/{bench.pid}/task/{bench.pid}/children")
    deadline = time.monotonic() + PATIENCE_S
    # The servers of ZeroMQ and gRPC, of a pool, and what
    # multiprocessing starts for it.
    while len(pids := children.read_text().split()) < 4:
        assert time.monotonic() < deadline, pids
    if number is signal.SIGINT:
        os.killpg(bench.pid, number)
        assert bench.wait() == 130
        assert "Traceback" not in bench.stderr
    else:
        bench.signal(number)
    for pid in pids:
        while Path(f"/proc/{pid}").exists():
            assert time.monotonic() < deadline, pid
            time.sleep(0.01)
    sweep(tmp_path)  # as the next host does
    assert not list(tmp_path.iterdir())
