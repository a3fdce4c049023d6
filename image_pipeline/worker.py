"""Worker: turns images into thumbnails, bytes in and bytes out.

    PULL connect "tasks"    <- Task, images         from the ventilator
    PUSH connect "results"  -> Reports, thumbnails  to the sink

PULL takes from whoever pushes, fairly; PUSH gives to whoever has room. So a
worker needs no address of its own and nobody keeps a list of workers: start
one more and it gets its share, stop one and the others get it (ZeroMQ Guide,
chapter 1, "Divide and Conquer"). It touches no file, so it runs anywhere.

A high-water mark of 1 keeps tasks from queueing here while others idle.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from threading import Event

import zmq

from image_pipeline import links, wire
from image_pipeline.clock import Clock
from image_pipeline.curve import Keys
from image_pipeline.peers import Peers, Refused
from image_pipeline.pixels import CannotMake, Made, NotAnImage
from image_pipeline.recipe import Recipe
from image_pipeline.status import Incomplete
from proto import messages_pb2 as pb

HIGH_WATER_MARK = 1  # tasks that wait here while one is being worked on
TICK_MS = 100  # how often an idle worker looks whether to stop
ALONE_S = 2.0  # a worker for one batch leaves so long after the ventilator
NOBODY_S = 60.0  # without ventilator or sink, and the batch is lost

Make = Callable[[bytes, Recipe], Made]
Alarm = Callable[[float], AbstractContextManager[None]]


def work(
    make: Make,
    *,
    context: zmq.Context[zmq.Socket[bytes]],
    tasks: str,
    results: str,
    name: str,
    stop: Event,
    once: bool = False,
    alarm: Alarm = lambda _: nullcontext(),
    keys: Keys | None = None,
    watch: Callable[[pb.Report], None] = lambda _: None,
) -> int:
    """Make thumbnails until `stop` is set; return for how many images.

    With `once` it also ends when the ventilator has gone. `alarm` limits
    the seconds that an image may take; `watch` is shown each report, when
    an image is started and when it is done.
    Raises Refused when a key or a protocol does not fit, and Incomplete
    when with `once` there is no ventilator or no sink.
    """
    with (
        links.socket(
            context,
            zmq.PULL,
            high_water_mark=HIGH_WATER_MARK,
            buffer=links.SMALL_BUFFER,
        ) as inbox,
        links.socket(context, zmq.PUSH) as outbox,
        Peers(inbox) as ventilator,
        Peers(outbox) as sink,
    ):
        links.connect(inbox, tasks, keys)
        links.connect(outbox, results, keys)
        presence = Presence(once, ventilator=ventilator, sink=sink)
        tell = partial(
            send, outbox, lambda: stop.is_set() or presence.is_over()
        )
        made = 0
        tell([pb.Report(stage=pb.STAGE_READY, worker=name)])
        held = HIGH_WATER_MARK  # what may have arrived before we leave
        while True:
            if stop.is_set():
                if not held or not inbox.poll(0):
                    break
                held -= 1
            elif not inbox.poll(TICK_MS):
                if presence.is_over():
                    break
                continue
            message, *images = inbox.recv_multipart()
            try:
                task, recipe = wire.read_task(message, len(images))
            except wire.Malformed:
                continue
            reports = [
                pb.Report(id=each, stage=pb.STAGE_STARTED, worker=name)
                for each in task.ids
            ]
            tell(reports)
            thumbnails: list[bytes] = []
            for report, image in zip(reports, images, strict=True):
                watch(report)
                with alarm(task.timeout_ms / 1000):
                    thumbnails += attempt(make, image, recipe, report)
                made += report.stage == pb.STAGE_MADE
                watch(report)
            tell(reports, thumbnails)
        tell([pb.Report(stage=pb.STAGE_LEAVING, worker=name)])
        return made


def attempt(
    make: Make, image: bytes, recipe: Recipe, report: pb.Report
) -> list[bytes]:
    """Make thumbnails of `image`, and write into `report` how it went."""
    began = time.monotonic()
    thumbnails = []
    try:
        made = make(image, recipe)
        biggest = max(map(len, made.thumbnails))
        if biggest > wire.MOST_THUMBNAIL:
            raise CannotMake(
                f"its thumbnail's {biggest} bytes are over the limit of "
                f"{wire.MOST_THUMBNAIL}"
            )
    except NotAnImage as error:
        report.stage = pb.STAGE_NOT_AN_IMAGE
        report.reason = str(error)[: wire.MOST_TEXT]
    except CannotMake as error:
        report.stage = pb.STAGE_FAILED
        report.reason = str(error)[: wire.MOST_TEXT]
    else:
        report.stage = pb.STAGE_MADE
        report.width, report.height = made.width, made.height
        if made.notes:
            report.notes.append("; ".join(made.notes)[: wire.MOST_TEXT])
        thumbnails = made.thumbnails
    report.seconds = time.monotonic() - began
    return thumbnails


def send(
    outbox: zmq.Socket[bytes],
    is_over: Callable[[], bool],
    reports: list[pb.Report],
    thumbnails: list[bytes] | None = None,
) -> None:
    """Send to the sink; wait for it while anybody wants to know."""
    told = pb.ToSink(reports=pb.Reports(reports=reports))
    while not outbox.poll(TICK_MS, zmq.POLLOUT):
        if is_over():
            return
    outbox.send_multipart([told.SerializeToString(), *(thumbnails or ())])


class Presence:
    """Whether those are there without whom there is nothing to do."""

    def __init__(self, once: bool, **others: Peers) -> None:
        self._once = once
        self._others = others
        self._clock = Clock(time.monotonic())
        self._met = dict.fromkeys(others, time.monotonic())

    def is_over(self) -> bool:
        """Tell whether the batch has ended.

        Raises Refused if we are shut out, and with `once` Incomplete when
        somebody is missing for too long.
        """
        now = self._clock.at(time.monotonic())
        for what, peers in self._others.items():
            peers.look()
            if why := peers.refusal:
                raise Refused(f"the {what} refuses us: {why}")
            if peers.connected:
                self._met[what] = now
            if self._once and now - self._met[what] > NOBODY_S:
                raise Incomplete(f"there was no {what} for {NOBODY_S:g} s")
        return (
            self._once
            and bool(self._others["ventilator"].ever)
            and now - self._met["ventilator"] > ALONE_S
        )


@contextmanager
def die_after(seconds: float) -> Iterator[None]:
    """End this process (SIGALRM) unless the block ends within `seconds`.

    No exception would do: a C decoder that loops never returns to Python.
    """
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def outcome_line(report: pb.Report) -> str:
    """Say in a line what a worker did, if it has; it knows no names."""
    if report.stage == pb.STAGE_STARTED:
        return ""
    number = report.id & 0xFFFF_FFFF
    if report.stage != pb.STAGE_MADE:
        return f"image {number}: {report.reason}"
    size = f"{report.width} x {report.height} pixels"
    return f"image {number}: {size} in {report.seconds * 1000:.0f} ms"
