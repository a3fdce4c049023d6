"""Sink: writes thumbnails, and gives a receipt for each file.

    PULL bind "results"     <- ToSink    the ventilator's plan, and the
                                         workers' reports with thumbnails
    PUSH connect "receipts" -> Reports   to the ventilator

A sink collects from everyone, so it binds. The Guide's sink counts to a
number that it knows beforehand and waits for ever when one result is lost;
this one answers each file by its id, so that the ventilator knows what to
send again. It never takes a path from a worker.
"""

from threading import Event

from image_pipeline import messages
from image_pipeline import messages_pb2 as pb
from image_pipeline.delivery.announced import Announced, SinkSockets
from image_pipeline.storage.store import CannotKeep, Store, TargetError


class Sink:
    """Serves one batch after another; `made` counts images."""

    def __init__(self, store: Store, ends: SinkSockets) -> None:
        self.ends, self.made = ends, 0
        self._store, self._batch = store, Announced()

    def run(self, stop: Event, once: bool = False) -> None:
        """Serve until `stop`, or with `once` until a batch has ended.

        Raises TargetError when nothing more can be written, after it has
        told the ventilator, and Refused when a key does not fit.
        """
        over = False
        while not stop.is_set() and not (once and over):
            for message in self.ends.messages():
                try:
                    if isinstance(message, pb.Plan):
                        self.prepare(message)
                        over = message.last
                    else:
                        self.keep(*message)
                except messages.Malformed:
                    self.ends.dropped += 1

    def prepare(self, plan: pb.Plan) -> None:
        """Note which files are coming, and say which need not come."""
        if plan.batch != self._batch.number:
            self._batch = Announced(
                plan.batch, messages.read_recipe(plan.recipe)
            )
            self.ends.new_batch(len(plan.recipe.sizes))
        batch = self._batch
        for file in plan.files:
            source, outputs = batch.source(file), batch.outputs(file)
            if not plan.force and self._store.is_current(source, outputs):
                stage = pb.STAGE_CURRENT
            else:
                batch.add(file)
                stage = pb.STAGE_WANTED
            self.ends.receipt(pb.Report(id=file.id, stage=stage))
        for file_id in plan.withdrawn:
            batch.drop(file_id)
        if plan.last:
            self._batch = Announced()

    def keep(self, report: pb.Report, thumbnails: list[bytes]) -> None:
        """Write what a worker has made; only the first result counts."""
        batch, file = self._batch, self._batch.find(report.id)
        if file and report.stage == pb.STAGE_MADE:
            batch.check(thumbnails)
            made = dict(zip(batch.outputs(file), thumbnails, strict=True))
            try:
                self._store.keep(batch.source(file), made)
                self.made += 1
            except CannotKeep as error:
                report.stage, report.reason = pb.STAGE_FAILED, str(error)
            except TargetError as error:
                self.ends.broken(batch.number, str(error))
                raise
        if file and report.stage != pb.STAGE_STARTED:
            batch.drop(report.id)
        if file or report.stage not in messages.ABOUT_A_FILE:
            self.ends.receipt(report)
        else:
            self.ends.dropped += 1
