"""Workers started by hand, which meet what may kill or hold them."""

import os
import re
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from image_pipeline.delivery import ledger
from image_pipeline.outcome import Made, Outcome
from tests.image_pipeline import saboteur
from tests.image_pipeline.stage import (
    PHOTO,
    by_hand,
    endpoints_of_our_own,
    files_in,
    make_photos,
    make_thumbnails,
    outcomes,
)
from tests.support import PATIENCE_S, Program

pytestmark = pytest.mark.slow

Start = Callable[..., Program]
WORKERS = 12
SABOTAGED = "tests.image_pipeline.sabotaged"


@pytest.fixture
def ends() -> Iterator[dict[str, str]]:
    tasks, results, receipts = endpoints_of_our_own()
    yield {"tasks": tasks, "results": results, "receipts": receipts}


def options(ends: dict[str, str], *names: str) -> list[str]:
    return [word for name in names for word in (f"--{name}", ends[name])]


@pytest.mark.timeout(120)
def test_a_photograph_that_crashes_its_decoder_leaves_no_worker_dead(
    start: Start, ends: dict[str, str], tmp_path: Path
) -> None:
    """The trap: a worker decodes in the very process that was started."""
    make_photos(tmp_path / "src", 30)
    (tmp_path / "src" / "007.jpg").write_bytes(PHOTO + saboteur.CRASH)
    sink = start(
        *("image_pipeline", "sink", str(tmp_path / "dst"), "--once"),
        *options(ends, "results", "receipts"),
    )
    workers = [
        start(SABOTAGED, "worker", *options(ends, "tasks", "results"))
        for _ in range(WORKERS)
    ]
    for worker in workers:
        worker.wait_for("takes tasks")
    began = time.monotonic()
    ventilator = start(
        *("image_pipeline", "ventilator", str(tmp_path / "src")),
        *("--workers", str(WORKERS)),
        *options(ends, "tasks", "results", "receipts"),
    )

    assert ventilator.wait() == 1
    seconds = time.monotonic() - began
    assert "29 made, 0 current, 0 skipped, 1 failed" in ventilator.stdout
    assert ventilator.stderr == (
        "failed: 007.jpg: killed its worker 3 times: signal 11 (SIGSEGV)\n"
    )
    assert [each.process.poll() for each in workers] == [None] * WORKERS
    assert seconds < PATIENCE_S / 2  # 5 s on a quiet machine
    assert sink.wait() == 0
    for worker in workers:
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
        assert "Traceback" not in worker.stderr


def test_a_photograph_that_never_ends_costs_a_hand_started_worker_nothing(
    start: Start, ends: dict[str, str], tmp_path: Path
) -> None:
    make_photos(tmp_path / "src", 6)
    (tmp_path / "src" / "002.jpg").write_bytes(PHOTO + saboteur.HANG_IN_C)
    start(
        *("image_pipeline", "sink", str(tmp_path / "dst"), "--once"),
        *options(ends, "results", "receipts"),
    )
    worker = start(
        *(SABOTAGED, "worker", "--once", "-j", "2"),
        *options(ends, "tasks", "results"),
    )
    ventilator = start(
        *("image_pipeline", "ventilator", str(tmp_path / "src")),
        *("--timeout", "1", "--workers", "2"),
        *options(ends, "tasks", "results", "receipts"),
    )
    assert ventilator.wait() == 1
    assert "5 made, 0 current, 0 skipped, 1 failed" in ventilator.stdout
    assert "002.jpg: took longer than 1 s" in ventilator.stderr
    assert worker.wait() == 0


def test_an_idle_worker_obeys_sigterm_at_once(
    start: Start, ends: dict[str, str]
) -> None:
    """The trap: a farewell that lingers for a sink that is not there."""
    worker = start(
        "image_pipeline", "worker", *options(ends, "tasks", "results")
    )
    worker.wait_for("takes tasks from")
    (child,) = children_of(worker)
    deadline = time.monotonic() + PATIENCE_S
    while not re.search(r"ZMQbg", threads_of(child)):  # its context is up
        assert time.monotonic() < deadline
        time.sleep(0.02)
    began = time.monotonic()
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    # Half a second is the promise; the rest is for a machine under load.
    assert time.monotonic() - began < 1.5


def test_what_decodes_ends_with_the_worker_that_people_started(
    start: Start, ends: dict[str, str]
) -> None:
    worker = start(
        *("image_pipeline", "worker", "-j", "2"),
        *options(ends, "tasks", "results"),
    )
    worker.wait_for("takes tasks from")
    decoders = [os.pidfd_open(int(pid)) for pid in children_of(worker)]
    assert len(decoders) == 2
    worker.signal(signal.SIGKILL)
    for decoder in decoders:
        ended, _, _ = select.select([decoder], [], [], PATIENCE_S)
        os.close(decoder)
        assert ended


def children_of(program: Program) -> list[str]:
    children = Path(f"/proc/{program.pid}/task/{program.pid}/children")
    return children.read_text().split()


def threads_of(pid: str) -> str:
    names = Path(f"/proc/{pid}/task").glob("*/comm")
    return " ".join(name.read_text() for name in names)


def test_a_file_on_a_worker_that_never_answers_is_given_to_another(
    context: zmq.Context[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It lives, it has said that it started, and that is all."""
    monkeypatch.setattr(ledger, "TIMEOUT_GRACE_S", 0.5)
    make_photos(tmp_path / "src", 4)
    over = threading.Event()
    silent: list[str] = []

    def never(data: bytes, recipe: bytes) -> Made:
        silent.append("one file")
        over.wait(PATIENCE_S)
        return make_thumbnails(data, recipe)

    with by_hand(context, tmp_path) as pipeline:
        pipeline.add_worker("silent", never)
        pipeline.add_worker("honest")
        records = pipeline.deliver(
            files_in(tmp_path / "src", timeout=1.0), workers=2
        )
        over.set()

    assert silent
    assert outcomes(records) == {Outcome.MADE: 4}
    assert {record.worker for record in records.values()} == {"honest"}
    assert max(record.attempts for record in records.values()) > 1
