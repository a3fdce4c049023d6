"""The bench measures what it says, and says what it leaves out."""

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from slides.bench import image_pipeline as bench
from slides.bench.image_pipeline import measure
from slides.bench.kit import taken_by
from tests.support import PATIENCE_S, Program

pytestmark = pytest.mark.slow


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def test_the_stopwatch_tells_waiting_from_working() -> None:
    waited = taken_by(python("import time; time.sleep(0.5)"))
    assert waited.wall_s >= 0.5
    assert waited.cpu_s < waited.wall_s
    worked = taken_by(
        python(
            "import time\n"
            "while time.process_time() < 0.5: pass\n"
            "print('done')"
        )
    )
    assert worked.cpu_s >= 0.5
    assert worked.output == "done\n"


def test_the_stopwatch_counts_the_work_of_children() -> None:
    child = "import time\nwhile time.process_time() < 0.4: pass"
    parent = f"import subprocess, sys; subprocess.run({python(child)!r})"
    assert taken_by(python(parent)).cpu_s >= 0.4


def test_what_does_not_end_is_killed_with_all_that_it_started(
    tmp_path: Path,
) -> None:
    pid = tmp_path / "pid"
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        taken_by(["sh", "-c", f"sleep 60 & echo $! > {pid}; wait"], 4.0)
    assert time.monotonic() - began < 30
    with suppress(ProcessLookupError):  # when it is gone already
        sleeper = os.pidfd_open(int(pid.read_text()))
        ended, _, _ = select.select([sleeper], [], [], PATIENCE_S)
        os.close(sleeper)
        assert ended


def test_every_program_gets_a_row_and_the_baselines_a_limit() -> None:
    said: list[str] = []
    result = measure(4, 1, said.append, tiny=20)
    names = [row.name for row in result.rows]
    assert len(names) == len(set(names))
    assert names[:3] == ["run, ipc", "run, tcp with keys", "run, inproc"]
    for row in result.rows:
        assert row.cpu_ms and row.ratio and row.median_s > 0
    assert any(row.at_least for row in result.rows)
    assert {"run, one image", "run, 20 tiny"} <= set(names)
    for baseline in ("vipsthumbnail", bench.VIPS):
        assert (baseline in names) != (baseline in result.left_out)
    as_json = json.loads(json.dumps(result.as_dict()))
    assert {"machine", "versions", "rows"} <= as_json.keys()
    assert said


def test_a_baseline_that_is_not_there_is_named_as_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bench, "missing", "no {} here".format)
    result = measure(2, 1, tiny=2)
    assert result.left_out["vipsthumbnail"] == "no vipsthumbnail here"
    assert "vipsthumbnail" not in [row.name for row in result.rows]


def test_an_interrupted_bench_leaves_nothing_behind(
    tmp_path: Path, start: Callable[..., Program]
) -> None:
    program = start(
        *("slides", "bench", "image_pipeline"), env={"TMPDIR": str(tmp_path)}
    )
    deadline = time.monotonic() + PATIENCE_S
    while not any(tmp_path.rglob("*.jpg")):
        assert time.monotonic() < deadline, program.stderr
        time.sleep(0.01)
    program.signal(signal.SIGTERM)
    assert program.wait() == 130
    # From Python 3.14 on a killed ProcessPoolExecutor leaves a folder.
    left = [each.name for each in tmp_path.iterdir()]
    assert not [name for name in left if not name.startswith("pymp-")]
    assert "Traceback" not in program.stderr
