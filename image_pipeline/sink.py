"""Sink: writes thumbnails, and gives a receipt for each file.

    PULL bind "results"     <- ToSink    the ventilator's plan, and the
                                         workers' reports with thumbnails
    PUSH connect "receipts" -> Reports   to the ventilator

A sink collects from everyone, so it binds. The Guide's sink counts to a
number that it knows beforehand and waits for ever when one result is lost;
this one answers each file by its id, so that the ventilator knows what to
send again.

It never takes a path from a worker: a result counts only for an id that the
ventilator has announced, and is written under the name announced for it.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import islice
from threading import Event
from typing import Protocol, Self

import zmq

from image_pipeline import links, wire
from image_pipeline.curve import Keys
from image_pipeline.formats import HEAD_BYTES, sniff
from image_pipeline.journal import Source
from image_pipeline.names import output_names
from image_pipeline.peers import Peers, Refused
from image_pipeline.recipe import Recipe
from image_pipeline.store import CannotKeep, TargetError
from proto import messages_pb2 as pb

TICK_MS = 100
BURST = 64  # messages taken before receipts go out
TOGETHER = 128  # receipts in one message; see `wire.MOST_TEXT`


class Shelf(Protocol):
    """Where thumbnails are kept; `store.Store` is one."""

    def is_current(
        self, source: Source, outputs: tuple[bytes, ...]
    ) -> bool: ...

    def keep(
        self, source: Source, thumbnails: Mapping[bytes, bytes]
    ) -> None: ...


@dataclass(slots=True)
class Batch:
    """What the ventilator has announced and the workers still owe."""

    number: int = 0
    recipe: Recipe = field(default_factory=Recipe)
    fingerprint: str = ""
    owed: dict[int, pb.SourceFile] = field(default_factory=dict)

    def source(self, file: pb.SourceFile) -> Source:
        return Source(file.name, file.size, file.mtime_ns, self.fingerprint)


class Sink:
    """Binds when entered, so that workers can be told the endpoint.

    `dropped` counts messages that were malformed or that nobody expected.
    """

    def __init__(
        self,
        shelf: Shelf,
        *,
        context: zmq.Context[zmq.Socket[bytes]],
        results: str,
        receipts: str,
        keys: Keys | None = None,
    ) -> None:
        self._shelf = shelf
        self._keys = keys
        self._batch = Batch()
        self._outgoing: list[pb.Report] = []
        self._finished = False
        self.dropped = 0
        self.made = 0
        with ExitStack() as stack:
            enter = stack.enter_context
            self._inbox = enter(
                links.socket(
                    context, zmq.PULL, most_bytes=wire.MOST_THUMBNAIL
                )
            )
            self._outbox = enter(links.socket(context, zmq.PUSH))
            self.ventilator = enter(Peers(self._outbox))
            self.endpoint = links.bind(self._inbox, results, keys)
            links.connect(self._outbox, receipts, keys)
            self._sockets = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._sockets.close()

    def run(self, stop: Event, once: bool = False) -> None:
        """Serve until `stop`, or with `once` until a batch has ended.

        Raises TargetError when nothing can be written any more, after it
        has told the ventilator, and Refused when a key does not fit.
        """
        self._finished = False
        while not stop.is_set() and not (once and self._finished):
            if self._inbox.poll(TICK_MS):
                self._take_a_burst()
            self._answer()
            self._look()

    def _look(self) -> None:
        self.ventilator.look()
        if why := self.ventilator.refusal:
            raise Refused(f"the ventilator refuses us: {why}")

    def _take_a_burst(self) -> None:
        with suppress(zmq.Again):
            for _ in range(BURST):
                frames = self._inbox.recv_multipart(zmq.NOBLOCK, copy=False)
                try:
                    self._take(frames)
                except wire.Malformed:
                    self.dropped += 1
                except TargetError as error:
                    batch = wire.id_of(self._batch.number, 0)
                    self._tell(pb.STAGE_BROKEN, batch, str(error))
                    self._answer()
                    raise

    def _take(self, frames: list[zmq.Frame]) -> None:
        message = wire.read_to_sink(frames[0].bytes)
        if isinstance(message, pb.Plan):
            if self._keys and not self._keys.is_server(frames[0]):
                raise wire.Malformed("a plan from somebody else")
            self._prepare(message)
        else:
            thumbnails = iter(frames[1:])
            for report in message.reports:
                self._hear(report, thumbnails)

    def _hear(
        self, report: pb.Report, thumbnails: Iterator[zmq.Frame]
    ) -> None:
        """Take one report, with as many thumbnails as belong to it."""
        if report.stage not in wire.ABOUT_A_FILE:
            self._outgoing.append(report)
            return
        mine: list[bytes] = []
        if report.stage == pb.STAGE_MADE:
            sizes = len(self._batch.recipe.sizes)
            mine = [frame.bytes for frame in islice(thumbnails, sizes)]
        self._finish(report, mine)

    def _prepare(self, plan: pb.Plan) -> None:
        """Note which files are coming, and say which need not come."""
        if plan.batch != self._batch.number:
            recipe = wire.read_recipe(plan.recipe)
            self._batch = Batch(plan.batch, recipe, recipe.fingerprint())
            self._outgoing.clear()  # whoever waited for these is gone
        self._finished = plan.last
        for file in plan.files:
            outputs = output_names(file.name, self._batch.recipe)
            source = self._batch.source(file)
            if not plan.force and self._shelf.is_current(source, outputs):
                self._tell(pb.STAGE_CURRENT, file.id)
            else:
                self._batch.owed[file.id] = file
                self._tell(pb.STAGE_WANTED, file.id)
        for file_id in plan.withdrawn:
            self._batch.owed.pop(file_id, None)
        if plan.last:
            self._batch = Batch()

    def _finish(self, report: pb.Report, thumbnails: list[bytes]) -> None:
        """Write what a worker has made; only the first result counts."""
        file = self._batch.owed.get(report.id)
        if not file:
            self.dropped += 1
            return
        if report.stage == pb.STAGE_MADE:
            self._check(thumbnails)
            outputs = output_names(file.name, self._batch.recipe)
            try:
                self._shelf.keep(
                    self._batch.source(file),
                    dict(zip(outputs, thumbnails, strict=True)),
                )
                self.made += 1
            except CannotKeep as error:
                report.stage = pb.STAGE_FAILED
                report.reason = str(error)
        if report.stage != pb.STAGE_STARTED:
            del self._batch.owed[report.id]
        self._outgoing.append(report)

    def _check(self, thumbnails: list[bytes]) -> None:
        """Raise Malformed for what cannot be a thumbnail of this batch."""
        recipe = self._batch.recipe
        if len(thumbnails) != len(recipe.sizes):
            raise wire.Malformed(f"{len(thumbnails)} thumbnails")
        for thumbnail in thumbnails:
            if sniff(thumbnail[:HEAD_BYTES]) != recipe.format.upper():
                raise wire.Malformed("a thumbnail of another format")

    def _tell(self, stage: pb.Stage, file_id: int, reason: str = "") -> None:
        self._outgoing.append(
            pb.Report(stage=stage, id=file_id, reason=reason)
        )

    def _answer(self) -> None:
        """Send what has gathered, unless the ventilator takes nothing."""
        while self._outgoing and self._outbox.poll(0, zmq.POLLOUT):
            receipts = pb.Reports(reports=self._outgoing[:TOGETHER])
            self._outbox.send(receipts.SerializeToString())
            del self._outgoing[:TOGETHER]
