"""The demonstration: one worker, then all with one killed, then threads.

The same 48 photographs three times, and the same functions; only the number
of workers and the transport change. The victim dies when a third of the
thumbnails has been written and it is at another one, so nothing is timed by
sleeping.
"""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from filecmp import cmpfiles
from functools import partial
from pathlib import Path
from threading import Event

from image_pipeline.cli.gallery import PAGE, keep
from image_pipeline.cli.options import MAKE
from image_pipeline.demo.photographs import photograph
from image_pipeline.imaging.recipe import Recipe
from image_pipeline.outcome import (
    FileRecord,
    Incomplete,
    Outcome,
    Status,
    Tally,
)
from image_pipeline.run import run as run_batch
from image_pipeline.storage.source import Files
from image_pipeline.storage.store import Store
from image_pipeline.storage.thumbnails import Thumbnails
from image_pipeline.supervision.processes import Processes
from image_pipeline.supervision.supervisor import Supervisor
from image_pipeline.supervision.threads import Threads
from image_pipeline.transport.endpoints import Transport

PHOTOGRAPHS = 48
CORES = len(os.sched_getaffinity(0))
Show = Callable[[str], object]


@dataclass
class Act:
    """One run of the demonstration, as it goes."""

    text: str
    name: str  # of its folder
    start: Callable[[str], Supervisor]
    transport: Transport = Transport.TCP
    victim: str = ""  # the worker that is to be killed
    killed: bool = False
    records: list[FileRecord] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    at_work: dict[str, tuple[bytes, float]] = field(default_factory=dict)

    def play(self, folder: Path, files: Files, stop: Event) -> None:
        """Make all thumbnails once, with a contact sheet beside them."""
        with (
            closing(self.start(MAKE)) as self.workers,
            Store(folder / self.name) as store,
        ):
            with suppress(Incomplete):  # the records say what is missing
                run_batch(
                    files,
                    Thumbnails(store),
                    self.workers,
                    self.transport,
                    stop=stop,
                    record=self.record,
                    watch=self.watch,
                )
            keep(store, Path(os.fsdecode(files.source)), self.records)

    def watch(self, status: Status) -> None:
        self.at_work = status.workers

    def record(self, record: FileRecord) -> None:
        self.records.append(record)
        self.times.append(time.monotonic())
        file, _ = self.at_work.get(self.victim, (b"", 0.0))
        done = len(self.records) / PHOTOGRAPHS
        if done >= (1 / 3 if file else 2 / 3):
            self.kill()

    def kill(self) -> None:
        if isinstance(self.workers, Processes) and not self.killed:
            with suppress(KeyError, ProcessLookupError):  # it is dead already
                os.kill(self.workers.pids[self.victim], signal.SIGKILL)
                self.killed = True

    @property
    def seconds(self) -> float:
        """From the first thumbnail to the last, without starting up."""
        return self.times[-1] - self.times[0] if self.times else 0.0

    @property
    def tally(self) -> Tally:
        return Tally(record.outcome for record in self.records)

    @property
    def lost(self) -> int:
        return PHOTOGRAPHS - self.tally[Outcome.MADE]


def run(folder: Path, stop: Event, title: Show, show: Show) -> bool:
    """Play it in `folder`; return whether every thumbnail was made.

    The thumbnails and their contact sheet stay in `folder`. `stop` ends it
    early. Raises TargetError when the disk is full.
    """
    title(f"1. {PHOTOGRAPHS} photographs of 4 megapixels, made up here.")
    names = photographs(folder / "photographs", stop)
    files = Files(os.fsencode(folder / "photographs"), names, Recipe())

    everyone = max(2, CORES)
    one, many = partial(Processes, 1), partial(Processes, everyone)
    alone = Act("2. One worker process, over tcp.", "alone", one)
    text = f"3. {everyone} workers over tcp, and one is killed by SIGKILL."
    crowd = Act(text, "tcp", many, victim="worker 1")
    text = f"4. The same functions as {everyone} threads, over inproc."
    as_threads = partial(Threads, everyone)
    threads = Act(text, "inproc", as_threads, Transport.INPROC)

    for act in (alone, crowd, threads):
        if stop.is_set():
            return False
        title(act.text)
        act.play(folder, files, stop)
        rate = (PHOTOGRAPHS - 1) / act.seconds if act.seconds else 0.0
        show(f"{act.seconds:.2f} s, {rate:.0f} images a second")
        show(f"{act.tally}")
        if act.killed:
            again = sum(record.attempts > 1 for record in act.records)
            sent = f"{again} images were sent again"
            show(f"{act.victim} died; {sent}, {act.lost} were lost")
    if alone.lost or crowd.lost or threads.lost or not crowd.killed:
        return False
    for act, what in ((crowd, "tcp, one killed"), (threads, "inproc")):
        times = alone.seconds / act.seconds
        show(f"{what}: {times:.1f} times as fast as one")
    both = folder / "tcp", folder / "inproc"
    alike, *_ = cmpfiles(*both, map(os.fsdecode, names), shallow=False)
    same = len(alike) == PHOTOGRAPHS
    show(f"the thumbnails are {'the same' if same else 'NOT the same'}")
    show(f"gallery: {folder / 'tcp' / os.fsdecode(PAGE)}")
    return same


def photographs(folder: Path, stop: Event) -> list[bytes]:
    """Make them on all cores; return their names."""
    folder.mkdir(parents=True)

    def make(number: int) -> bytes:
        name = f"IMG_{number:04}.jpg"
        if not stop.is_set():
            (folder / name).write_bytes(photograph(number))
        return name.encode()

    with ThreadPoolExecutor(CORES) as pool:
        return list(pool.map(make, range(1, PHOTOGRAPHS + 1)))
