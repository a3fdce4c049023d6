"""Ventilator: pushes every image to some worker, until each has a receipt.

    PUSH bind "tasks"      -> Task, image  to the workers
    PUSH connect "results" -> Plan         to the sink: what is coming
    PULL bind "receipts"   <- Reports      from the sink

It binds because it is the stable end; workers come and go. A PUSH shares out
among those who are there, so the first to arrive would get everything: it
starts when enough are connected (ZeroMQ Guide, chapter 1). And PUSH forgets
what it has sent (chapter 4): `delivery.ledger` does not.
"""

from collections.abc import Callable
from threading import Event

import zmq

from image_pipeline.delivery.batch import Batch
from image_pipeline.delivery.roll import Departure
from image_pipeline.delivery.sockets import VentilatorSockets
from image_pipeline.outcome import FileRecord
from image_pipeline.status import Status
from image_pipeline.storage.source import Files


def deliver(
    ends: VentilatorSockets,
    files: Files,
    *,
    workers: int,
    stop: Event,
    record: Callable[[FileRecord], None],
    watch: Callable[[Status], None] = lambda _: None,
    reap: Callable[[], list[Departure]] = list,
) -> None:
    """Bring every file to its outcome; `record` hears each one once.

    Raises Incomplete when the batch cannot be finished. Also then, and when
    `stop` is set, every file has been recorded, as unfinished if need be.
    """
    with Batch(ends, files, stop, record, watch, reap) as batch:
        batch.wait_for(workers)  # the signal to start
        while not batch.done and not stop.is_set():
            for plan in batch.plans():
                ends.plans.send(plan)
            while task := batch.next_task():
                try:
                    ends.tasks.send_multipart(task, zmq.NOBLOCK, copy=False)
                except zmq.Again:  # every worker has enough
                    break
                batch.sent()
            batch.listen()  # receipts, losses, leases that have ended
