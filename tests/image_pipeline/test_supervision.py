"""Workers that die, stop or hang: real processes, really killed."""

import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from image_pipeline.cli.options import MAKE
from image_pipeline.delivery import ledger
from image_pipeline.delivery.ledger import Ledger
from image_pipeline.demo.photographs import photograph
from image_pipeline.outcome import FileRecord, Incomplete, Outcome, Status
from image_pipeline.supervision import processes, supervisor
from image_pipeline.supervision.processes import Processes
from image_pipeline.supervision.threads import Threads
from image_pipeline.transport.endpoints import Transport
from tests.image_pipeline import saboteur
from tests.image_pipeline.stage import (
    PHOTO,
    make_photos,
    outcomes,
    run_batch,
)
from tests.support import PATIENCE_S, Program

pytestmark = pytest.mark.slow

TINY = photograph(1, 64, 48)


class Assassin:
    """Sends a signal to a worker that is at work, once some are done."""

    def __init__(self, workers: Processes, number: signal.Signals) -> None:
        self.workers = workers
        self.number = number
        self.victim = ""

    def __call__(self, status: Status, records: list[FileRecord]) -> None:
        if self.victim or len(records) < 2:
            return
        pids = self.workers.pids
        busy = [name for name in status.workers if name in pids]
        if busy:
            self.victim = busy[0]
            os.kill(pids[self.victim], self.number)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_what_a_killed_or_stopped_worker_held_is_made_by_another(
    number: signal.Signals, tmp_path: Path
) -> None:
    make_photos(tmp_path / "src", 30, saboteur.WAIT)
    workers = Processes(2, saboteur.MAKE)
    assassin = Assassin(workers, number)
    records = run_batch(tmp_path, workers, assassin)

    assert assassin.victim
    assert outcomes(records) == {Outcome.MADE: 30}
    assert any(record.attempts > 1 for record in records.values())


def test_a_single_worker_that_is_stopped_is_replaced(tmp_path: Path) -> None:
    make_photos(tmp_path / "src", 10, saboteur.WAIT)
    workers = Processes(1, saboteur.MAKE)
    assassin = Assassin(workers, signal.SIGSTOP)
    records = run_batch(tmp_path, workers, assassin)

    assert outcomes(records) == {Outcome.MADE: 10}


@pytest.mark.parametrize(
    ("order", "cause"),
    [
        (saboteur.CRASH, "signal 11 (SIGSEGV)"),
        (saboteur.EXIT, "exit status 7"),
    ],
)
def test_an_image_that_kills_every_worker_fails_and_nothing_else_does(
    order: bytes, cause: str, tmp_path: Path
) -> None:
    make_photos(tmp_path / "src", 20)
    (tmp_path / "src" / "010.jpg").write_bytes(PHOTO + order)
    records = run_batch(tmp_path, Processes(2, saboteur.MAKE))

    assert outcomes(records) == {Outcome.MADE: 19, Outcome.FAILED: 1}
    assert records["010.jpg"].outcome is Outcome.FAILED
    assert records["010.jpg"].reason == f"killed its worker 3 times: {cause}"


def test_a_crash_before_anybody_could_be_told_is_found_out_all_the_same(
    tmp_path: Path,
) -> None:
    """The trap: STARTED dies with the worker that sent it.

    What the worker noted in shared memory does not.
    """
    make_photos(tmp_path / "src", 20)
    bad = tmp_path / "src" / "010.jpg"
    bad.write_bytes(PHOTO + saboteur.CRASH_AT_ONCE)
    workers = Processes(2, saboteur.MAKE)
    records = run_batch(tmp_path, workers)

    assert outcomes(records) == {Outcome.MADE: 19, Outcome.FAILED: 1}
    assert records["010.jpg"].reason == (
        "killed its worker 3 times: signal 11 (SIGSEGV)"
    )


def test_a_killer_among_tiny_images_takes_none_of_them_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They travel in one message, and die with its worker three times."""
    # A backup is a second copy, whose worker would be the fourth to die.
    monkeypatch.setattr(ledger, "SHORT_LEASE_S", 20.0)
    assert Ledger(300, 60, workers=2).share(1) > 20
    names = make_photos(tmp_path / "src", 300)
    (tmp_path / "src" / "150.jpg").write_bytes(TINY + saboteur.CRASH_AT_ONCE)
    for name in names:
        path = tmp_path / "src" / os.fsdecode(name)
        if name != b"150.jpg":
            path.write_bytes(TINY)
    workers = Processes(2, saboteur.MAKE)
    records = run_batch(tmp_path, workers)

    assert outcomes(records) == {Outcome.MADE: 299, Outcome.FAILED: 1}
    assert records["150.jpg"].reason == (
        "killed its worker 3 times: signal 11 (SIGSEGV)"
    )
    # A STARTED that comes late, for a copy that is lost, may cost one more.
    assert workers.started <= 2 + 3 + 1


def test_an_image_that_never_ends_fails_after_its_time(
    tmp_path: Path,
) -> None:
    make_photos(tmp_path / "src", 10)
    (tmp_path / "src" / "005.jpg").write_bytes(PHOTO + saboteur.HANG_IN_C)
    workers = Processes(2, saboteur.MAKE)
    records = run_batch(tmp_path, workers, timeout=3.0)

    assert outcomes(records) == {Outcome.MADE: 9, Outcome.FAILED: 1}
    assert records["005.jpg"].reason == "took longer than 3 s"


def test_workers_that_cannot_even_start_end_the_run_with_their_words(
    tmp_path: Path,
) -> None:
    make_photos(tmp_path / "src", 3)
    broken = (sys.executable, "-c", "raise SystemExit('no Pillow here')")
    with pytest.raises(Incomplete, match="no Pillow here"):
        run_batch(tmp_path, Processes(2, MAKE, command=broken))


def test_a_worker_process_that_cannot_be_started_is_named() -> None:
    with pytest.raises(Incomplete, match=r"cannot start .*: No such file"):
        Processes(1, MAKE, command=["/nonexistent"])


def test_workers_whose_run_was_killed_before_it_had_work_end_at_once(
    start: Callable[..., Program],
) -> None:
    """The end of their stdin tells them: nobody holds its other end."""
    run = start(
        sys.executable,
        "-c",
        "from image_pipeline.supervision.processes import Processes\n"
        "import signal\n"
        f"pids = Processes(2, {MAKE!r}).pids.values()\n"
        "print('pids', *pids, flush=True)\n"
        "signal.pause()",
    )
    pids = run.wait_for(r"pids (\d+) (\d+)").groups()
    workers = [os.pidfd_open(int(pid)) for pid in pids]
    run.signal(signal.SIGKILL)
    for worker in workers:
        ended, _, _ = select.select([worker], [], [], PATIENCE_S)
        os.close(worker)
        assert ended


def test_a_worker_that_does_not_end_in_time_is_closed_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The trap: what the first try has closed is used by the second."""
    monkeypatch.setattr(processes, "REAP_S", 0.0)
    workers = Processes(1, MAKE)
    [worker] = workers.alive
    os.kill(workers.pids[worker.name], signal.SIGSTOP)
    assert not worker.close(time.monotonic())
    assert workers.close()


def test_what_has_not_ended_in_time_is_closed_by_the_next_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The trap: the first try forgets it, and the second calls it ended."""
    with monkeypatch.context() as hung:
        hung.setattr(processes, "REAP_S", 0.0)
        hung.setattr(supervisor, "FAREWELL_S", 0.0)
        workers = Processes(1, MAKE)
        [worker] = workers.alive
        pid = workers.pids[worker.name]
        os.kill(pid, signal.SIGSTOP)
        hung.setattr(worker, "kill", lambda: None)
        assert not workers.close()
    assert workers.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def test_a_run_leaves_no_process_behind(tmp_path: Path) -> None:
    make_photos(tmp_path / "src", 3)
    workers = Processes(2, MAKE)
    pids = list(workers.pids.values())
    run_batch(tmp_path, workers)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_threads_do_what_processes_do(tmp_path: Path) -> None:
    make_photos(tmp_path / "src", 20)
    records = run_batch(
        tmp_path, Threads(2, MAKE), transport=Transport.INPROC
    )

    assert outcomes(records) == {Outcome.MADE: 20}
    assert {record.worker for record in records.values()} == {
        "thread 1",
        "thread 2",
    }


def test_a_kill_costs_little_more_than_what_the_worker_held(
    tmp_path: Path,
) -> None:
    """With 0.2 s for an image, 8 s are left for the far slower trap.

    The trap: without being told of the death, one waits for a time-out.
    """
    make_photos(tmp_path / "src", 20, saboteur.WAIT)
    workers = Processes(2, saboteur.MAKE)
    assassin = Assassin(workers, signal.SIGKILL)
    began = time.monotonic()
    run_batch(tmp_path, workers, assassin)
    seconds = time.monotonic() - began

    assert seconds < 15
