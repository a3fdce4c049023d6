"""What the tests of the pipeline have in common."""

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq

from image_pipeline import ventilator as ventilating
from image_pipeline import worker as working
from image_pipeline.delivery.announced import SinkSockets
from image_pipeline.delivery.sockets import VentilatorSockets as Ventilator
from image_pipeline.delivery.tasks import Make, TaskSockets
from image_pipeline.demo.photographs import photograph
from image_pipeline.imaging.recipe import Recipe
from image_pipeline.imaging.thumbnail import make_thumbnails
from image_pipeline.outcome import FileRecord, Outcome
from image_pipeline.run import Running
from image_pipeline.sink import Sink
from image_pipeline.status import Status
from image_pipeline.storage.source import Files
from image_pipeline.storage.store import Store
from image_pipeline.transport.curve import Keys, guard
from tests.support import PATIENCE_S

PHOTO = photograph(1, 320, 240)
# The first bytes of a ZMTP connection, up to where the handshake begins.
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48)


def work(
    make: Make,
    *,
    context: Any,
    tasks: str,
    results: str,
    name: str,
    stop: threading.Event,
    once: bool = False,
    keys: Keys | None = None,
    **options: Any,
) -> int:
    with TaskSockets(
        context, tasks, results, stop=stop, once=once, keys=keys
    ) as ends:
        return working.work(make, ends, name, **options)


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


def deliver(
    running: Running,
    files: Files,
    watch: Callable[[Status, list[FileRecord]], None] = lambda *_: None,
) -> dict[str, FileRecord]:
    """Deliver `files`; return what became of each."""
    records: list[FileRecord] = []
    running.deliver(
        files,
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
class Hands:
    """A pipeline put together by hand: sockets bound, nobody at work yet."""

    context: zmq.Context[Any]
    ventilator: Ventilator
    sink: Sink
    keys: Keys | None = None
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
            tasks=self.ventilator.tasks_endpoint,
            results=self.sink.ends.endpoint,
            name=name,
            stop=stop or self.over,
            keys=self.keys,
        )

    def deliver(
        self, files: Files, workers: int = 1, **options: Any
    ) -> dict[str, FileRecord]:
        options.setdefault("stop", threading.Event())
        self.start(self.sink.run, stop=self.over)
        ventilating.deliver(
            self.ventilator,
            files,
            workers=workers,
            record=self.records.append,
            **options,
        )
        assert len(self.records) == len(files.names)
        return {os.fsdecode(each.source): each for each in self.records}


@contextmanager
def by_hand(
    context: zmq.Context[Any],
    tmp_path: Path,
    *,
    keys: Keys | None = None,
    patience: float = 20.0,
) -> Iterator[Hands]:
    """Bind a ventilator and a sink that writes below tmp_path/"dst"."""
    receipts = f"ipc://{tmp_path}/receipts"
    with (
        guard(context, keys),
        Store(tmp_path / "dst") as store,
        SinkSockets(
            context, "tcp://127.0.0.1:*", receipts, keys
        ) as collecting,
        Ventilator(
            context=context,
            tasks="tcp://127.0.0.1:*",
            results=collecting.endpoint,
            receipts=receipts,
            keys=keys,
            patience=patience,
        ) as ventilator,
    ):
        hands = Hands(context, ventilator, Sink(store, collecting), keys)
        try:
            yield hands
        finally:
            hands.over.set()
            for thread in hands.threads:
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
