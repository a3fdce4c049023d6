"""What the sink was told is coming, and its two sockets.

A result counts only for an id that the ventilator has announced.
"""

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from itertools import islice
from typing import Self

import zmq

from image_pipeline import messages
from image_pipeline import messages_pb2 as pb
from image_pipeline.imaging.formats import HEAD_BYTES, sniff
from image_pipeline.imaging.recipe import Recipe
from image_pipeline.storage.journal import Source
from image_pipeline.storage.names import output_names
from image_pipeline.transport import sockets
from image_pipeline.transport.curve import Keys
from image_pipeline.transport.monitor import Peers, Refused

TICK_MS = 100
BURST = 64  # messages taken before receipts go out
TOGETHER = 128  # receipts in one message; see `messages.MOST_TEXT`

Result = tuple[pb.Report, list[bytes]]


class Announced:
    """The files of a batch that the workers still owe."""

    def __init__(self, number: int = 0, recipe: Recipe | None = None) -> None:
        self.number = number
        self.recipe = recipe or Recipe()
        self._fingerprint = self.recipe.fingerprint()
        self._owed: dict[int, pb.SourceFile] = {}

    def add(self, file: pb.SourceFile) -> None:
        self._owed[file.id] = file

    def drop(self, file_id: int) -> None:
        self._owed.pop(file_id, None)

    def find(self, file_id: int) -> pb.SourceFile | None:
        return self._owed.get(file_id)

    def source(self, file: pb.SourceFile) -> Source:
        return Source(file.name, file.size, file.mtime_ns, self._fingerprint)

    def outputs(self, file: pb.SourceFile) -> tuple[bytes, ...]:
        return output_names(file.name, self.recipe)

    def check(self, thumbnails: list[bytes]) -> None:
        """Raise Malformed for what cannot be a thumbnail of this batch."""
        if len(thumbnails) != len(self.recipe.sizes):
            raise messages.Malformed(f"{len(thumbnails)} thumbnails")
        for thumbnail in thumbnails:
            if sniff(thumbnail[:HEAD_BYTES]) != self.recipe.format.upper():
                raise messages.Malformed("a thumbnail of another format")


class SinkSockets:
    """Plans and results come in, receipts go out.

    Binds when created, so that workers can be told the endpoint. `dropped`
    counts messages that were malformed or that nobody expected.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        results: str,
        receipts: str,
        keys: Keys | None = None,
    ) -> None:
        self._keys = keys
        self._outgoing: list[pb.Report] = []
        self.dropped = 0
        self.sizes = 1  # thumbnails of one image
        with ExitStack() as stack:
            enter = stack.enter_context
            self._inbox = enter(
                sockets.socket(
                    context, zmq.PULL, most_bytes=messages.MOST_THUMBNAIL
                )
            )
            self._outbox = enter(sockets.socket(context, zmq.PUSH))
            self.ventilator = enter(Peers(self._outbox))
            self.endpoint = sockets.bind(self._inbox, results, keys)
            sockets.connect(self._outbox, receipts, keys)
            self._sockets = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._sockets.close()

    def messages(self) -> Iterator[pb.Plan | Result]:
        """Yield what comes within a tick, and send the receipts after it.

        Raises Refused when a key does not fit.
        """
        try:
            if self._inbox.poll(TICK_MS):
                with suppress(zmq.Again):
                    for _ in range(BURST):
                        yield from self._read()
        finally:
            self._answer()
        self.ventilator.look()
        if why := self.ventilator.refusal:
            raise Refused(f"the ventilator refuses us: {why}")

    def _read(self) -> Iterator[pb.Plan | Result]:
        frames = self._inbox.recv_multipart(zmq.NOBLOCK, copy=False)
        try:
            message = messages.read_to_sink(frames[0].bytes)
        except messages.Malformed:
            self.dropped += 1
            return
        if isinstance(message, pb.Plan):
            if not self._keys or self._keys.is_server(frames[0]):
                yield message
            else:  # from somebody else
                self.dropped += 1
            return
        rest = iter(frames[1:])
        for report in message.reports:
            made = report.stage == pb.STAGE_MADE
            sizes = self.sizes if made else 0
            yield report, [frame.bytes for frame in islice(rest, sizes)]

    def receipt(self, report: pb.Report) -> None:
        self._outgoing.append(report)

    def broken(self, batch: int, reason: str) -> None:
        """Nothing can be written any more."""
        nothing = messages.id_of(batch, 0)
        self.receipt(
            pb.Report(stage=pb.STAGE_BROKEN, id=nothing, reason=reason)
        )
        self._answer()

    def new_batch(self, sizes: int) -> None:
        self._outgoing.clear()  # whoever waited for these is gone
        self.sizes = sizes

    def _answer(self) -> None:
        """Send what has gathered, unless the ventilator takes nothing."""
        while self._outgoing and self._outbox.poll(0, zmq.POLLOUT):
            receipts = pb.Reports(reports=self._outgoing[:TOGETHER])
            self._outbox.send(receipts.SerializeToString())
            del self._outgoing[:TOGETHER]
