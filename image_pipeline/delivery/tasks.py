"""A worker's two sockets, and when there is nothing more to do."""

import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Event
from typing import Self

import zmq

from image_pipeline import messages
from image_pipeline import messages_pb2 as pb
from image_pipeline.delivery.clock import Clock
from image_pipeline.imaging.recipe import Recipe
from image_pipeline.imaging.thumbnail import CannotMake, Made, NotAnImage
from image_pipeline.status import Incomplete
from image_pipeline.transport import sockets
from image_pipeline.transport.curve import Keys
from image_pipeline.transport.monitor import Peers, Refused

HIGH_WATER_MARK = 1  # tasks that wait here while one is being worked on
TICK_MS = 100  # how often an idle worker looks whether to stop
ALONE_S = 2.0  # a worker for one batch leaves so long after the ventilator
NOBODY_S = 60.0  # without ventilator or sink, and the batch is lost

Make = Callable[[bytes, Recipe], Made]
Task = tuple[pb.Task, Recipe, list[bytes]]


class TaskSockets:
    """Tasks come in, reports go out, until `stop` or the batch is over.

    With `once` the batch is over when the ventilator has gone. Raises
    Refused when a key or a protocol does not fit, and Incomplete when with
    `once` there is no ventilator or no sink.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        tasks: str,
        results: str,
        *,
        stop: Event,
        once: bool = False,
        keys: Keys | None = None,
    ) -> None:
        self._stop = stop
        with ExitStack() as stack:
            enter = stack.enter_context
            self._inbox = enter(
                sockets.socket(
                    context,
                    zmq.PULL,
                    high_water_mark=HIGH_WATER_MARK,
                    buffer=sockets.SMALL_BUFFER,
                )
            )
            self._outbox = enter(sockets.socket(context, zmq.PUSH))
            ventilator = enter(Peers(self._inbox))
            sink = enter(Peers(self._outbox))
            sockets.connect(self._inbox, tasks, keys)
            sockets.connect(self._outbox, results, keys)
            self._presence = Presence(once, ventilator=ventilator, sink=sink)
            self._sockets = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._sockets.close()

    def tasks(self) -> Iterator[Task]:
        """Yield what comes; after `stop`, what may have come before it."""
        held = HIGH_WATER_MARK
        while True:
            if self._stop.is_set():
                if not held or not self._inbox.poll(0):
                    return
                held -= 1
            elif not self._inbox.poll(TICK_MS):
                if self._presence.is_over():
                    return
                continue
            message, *images = self._inbox.recv_multipart()
            try:
                task, recipe = messages.read_task(message, len(images))
            except messages.Malformed:
                continue
            yield task, recipe, images

    def report(
        self, *reports: pb.Report, thumbnails: Iterable[bytes] = ()
    ) -> None:
        """Send to the sink; wait for it while anybody wants to know."""
        message = pb.ToSink(reports=pb.Reports(reports=reports))
        while not self._outbox.poll(TICK_MS, zmq.POLLOUT):
            if self._stop.is_set() or self._presence.is_over():
                return
        self._outbox.send_multipart(
            [message.SerializeToString(), *thumbnails]
        )


def attempt(
    make: Make, image: bytes, recipe: Recipe, report: pb.Report
) -> list[bytes]:
    """Make thumbnails of `image`, and write into `report` how it went."""
    began = time.monotonic()
    thumbnails = []
    try:
        made = make(image, recipe)
        biggest = max(map(len, made.thumbnails))
        if biggest > messages.MOST_THUMBNAIL:
            raise CannotMake(
                f"its thumbnail's {biggest} bytes are over the limit of "
                f"{messages.MOST_THUMBNAIL}"
            )
    except NotAnImage as error:
        report.stage = pb.STAGE_NOT_AN_IMAGE
        report.reason = str(error)[: messages.MOST_TEXT]
    except CannotMake as error:
        report.stage = pb.STAGE_FAILED
        report.reason = str(error)[: messages.MOST_TEXT]
    else:
        report.stage = pb.STAGE_MADE
        report.width, report.height = made.width, made.height
        if made.notes:
            report.notes.append("; ".join(made.notes)[: messages.MOST_TEXT])
        thumbnails = made.thumbnails
    report.seconds = time.monotonic() - began
    return thumbnails


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
