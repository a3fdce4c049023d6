"""Ventilator: pushes every file to some worker, until each has a receipt.

    PUSH bind "tasks"      -> Task, files  to the workers
    PUSH connect "results" -> Plan         to the sink: what is coming
    PULL bind "receipts"   <- Reports      from the sink

It binds because it is the stable end; workers come and go. A PUSH shares out
among those who are there, and the first to arrive would get everything. So no
task is sent before enough workers are connected (ZeroMQ Guide, chapter 1).
And PUSH forgets what it has sent (chapter 4); `delivery.ledger` does not.
"""

from collections.abc import Callable
from contextlib import suppress

import zmq

from image_pipeline.delivery.batch import Batch
from image_pipeline.transport.curve import Keys
from image_pipeline.transport.sockets import Context, bound, connected


def ventilate(
    context: Context,
    endpoints: tuple[str, str, str],
    batch: Batch,
    keys: Keys | None = None,
    on_bound: Callable[[str], None] = lambda _: None,
) -> None:
    """Bring every file to its outcome; `on_bound` hears where tasks are.

    Raises Incomplete when the batch cannot be finished. Also then, and when
    it is stopped, every file has been recorded, as unfinished if need be.
    """
    tasks_at, results_at, receipts_at = endpoints
    with (
        # region sockets
        bound(context, zmq.PUSH, tasks_at, keys, short=True) as tasks,
        bound(context, zmq.PULL, receipts_at, keys) as receipts,
        connected(context, zmq.PUSH, results_at, keys) as plans,
        # endregion
        batch.begin(tasks, plans),
    ):
        on_bound(tasks.endpoint)
        # region loop
        while not batch.over:
            while plans.poll(0, zmq.POLLOUT) and (plan := batch.next_plan()):
                plans.send(plan)
            with suppress(zmq.Again):  # until every worker has enough
                while task := batch.next_task():
                    tasks.send_multipart(task, zmq.NOBLOCK, copy=False)
                    batch.sent()
            if receipts.poll(batch.tick_ms):
                batch.take(receipts.recv(copy=False))
            batch.look()  # losses, leases that have ended
        # endregion
