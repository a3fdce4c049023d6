"""What the tests of the pipeline have in common."""

import os
import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq

from image_pipeline import worker as working
from image_pipeline.cli.options import MAKE
from image_pipeline.delivery.announced import Announced
from image_pipeline.delivery.batch import Batch
from image_pipeline.delivery.handed_in import Make, load
from image_pipeline.delivery.presence import Until
from image_pipeline.delivery.tasks import TaskRunner
from image_pipeline.demo.photographs import photograph
from image_pipeline.imaging.recipe import Recipe
from image_pipeline.outcome import FileRecord, Outcome, Status
from image_pipeline.run import run
from image_pipeline.sink import collect
from image_pipeline.storage.source import Files
from image_pipeline.storage.store import Store
from image_pipeline.storage.thumbnails import Thumbnails
from image_pipeline.supervision.supervisor import Supervisor
from image_pipeline.transport.curve import Keys, guard
from image_pipeline.transport.endpoints import Transport
from image_pipeline.ventilator import ventilate
from tests.support import PATIENCE_S

PHOTO = photograph(1, 320, 240)
# The first bytes of a ZMTP connection, up to where the handshake begins.
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48)


make_thumbnails = load(MAKE)


def work(
    make: Make,
    *,
    context: Any,
    tasks: str,
    results: str,
    name: str,
    stop: threading.Event,
    keys: Keys | None = None,
    **until: Any,
) -> None:
    """Run a worker with a `make` of its own."""
    runner = TaskRunner(make, name)
    at = tasks, results
    working.work(context, at, runner, Until(stop, **until), keys)


def endpoints_of_our_own() -> tuple[str, str, str]:
    """Return endpoints for tasks, results and receipts, over tcp.

    They are known before anybody binds, and nobody else has them: all of
    127.0.0.0/8 is loopback, and the address is one of millions.
    """
    address = f"127.{'.'.join(str(byte % 254 + 1) for byte in os.urandom(3))}"
    tasks, results, receipts = (
        f"tcp://{address}:{port}" for port in (5557, 5558, 5559)
    )
    return tasks, results, receipts


def make_photos(folder: Path, count: int, order: bytes = b"") -> list[bytes]:
    """Write `count` images, each with an order to the saboteur."""
    names = [b"%03d.jpg" % number for number in range(count)]
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / os.fsdecode(name)).write_bytes(PHOTO + order)
    return names


def files_in(folder: Path, timeout: float = 60.0) -> Files:
    names = sorted(os.fsencode(path.name) for path in folder.iterdir())
    return Files(os.fsencode(folder), names, Recipe(), timeout)


def run_batch(
    tmp_path: Path,
    workers: Supervisor,
    watch: Callable[[Status, list[FileRecord]], None] = lambda *_: None,
    transport: Transport = Transport.TCP,
    timeout: float = 60.0,
) -> dict[str, FileRecord]:
    """Make thumbnails of tmp_path/"src"; return what became of each file."""
    files = files_in(tmp_path / "src", timeout)
    records: list[FileRecord] = []
    with closing(workers), Store(tmp_path / "dst") as store:
        run(
            files,
            Thumbnails(store),
            workers,
            transport,
            stop=threading.Event(),
            record=records.append,
            watch=lambda status: watch(status, records),
        )
    by_name = {os.fsdecode(record.source): record for record in records}
    assert len(by_name) == len(records) == len(files.names)
    return by_name


def outcomes(records: dict[str, FileRecord]) -> Counter[Outcome]:
    return Counter(record.outcome for record in records.values())


@dataclass
class ManualPipeline:
    """A pipeline put together by hand: the sink is there, nobody else."""

    context: zmq.Context[Any]
    sink: Announced
    tasks: str
    results: str
    receipts: str
    keys: Keys | None = None  # of workers
    own_keys: Keys | None = None  # of ventilator and sink
    patience: float = 20.0
    over: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)
    records: list[FileRecord] = field(default_factory=list)

    def start(self, target: Callable[..., Any], **kwargs: Any) -> None:
        thread = threading.Thread(target=target, kwargs=kwargs, daemon=True)
        self.threads.append(thread)
        thread.start()

    def add_worker(
        self,
        name: str,
        make: Make = make_thumbnails,
        stop: threading.Event | None = None,
    ) -> None:
        self.start(
            work,
            make=make,
            context=self.context,
            tasks=self.tasks,
            results=self.results,
            name=name,
            stop=stop or self.over,
            keys=self.keys,
        )

    def deliver(
        self,
        files: Files,
        on_bound: Callable[[str], None] = lambda _: None,
        **options: Any,
    ) -> dict[str, FileRecord]:
        options.setdefault("stop", threading.Event())
        batch = Batch(
            files,
            record=self.records.append,
            patience=self.patience,
            keys=self.own_keys,
            **options,
        )
        at = self.tasks, self.results, self.receipts
        ventilate(self.context, at, batch, self.own_keys, on_bound)
        assert len(self.records) == len(files.names)
        return {os.fsdecode(each.source): each for each in self.records}


@contextmanager
def by_hand(
    context: zmq.Context[Any],
    tmp_path: Path,
    *,
    keys: Keys | None = None,
    patience: float = 20.0,
) -> Iterator[ManualPipeline]:
    """Start a sink that writes below tmp_path/"dst"."""
    tasks, _, _ = endpoints_of_our_own()
    bound: queue.SimpleQueue[str] = queue.SimpleQueue()
    receipts = f"ipc://{tmp_path}/receipts"
    over = threading.Event()
    with guard(context, keys), Store(tmp_path / "dst") as store:
        sink = Announced(Thumbnails(store), keys)
        collecting = threading.Thread(
            target=collect,
            args=(context, ("tcp://127.0.0.1:*", receipts), sink, over),
            kwargs={"keys": keys, "on_bound": bound.put},
            daemon=True,
        )
        collecting.start()
        results = bound.get(timeout=PATIENCE_S)
        pipeline = ManualPipeline(
            context,
            sink,
            tasks,
            results,
            receipts,
            keys,
            keys,
            patience,
            over,
            [collecting],
        )
        try:
            yield pipeline
        finally:
            over.set()
            for thread in pipeline.threads:
                thread.join(PATIENCE_S)
                assert not thread.is_alive()


def until(done: Callable[[], bool]) -> None:
    """Wait, with a deadline, for what another thread brings about."""
    waiting = threading.Event()
    for _ in range(600):
        if done():
            return
        waiting.wait(0.05)
    raise AssertionError("it never came about")
