"""Sink: stores results, and gives a receipt for each file.

    PULL bind "results"     <- ToSink    the ventilator's plan, and the
                                         workers' reports with results
    PUSH connect "receipts" -> Reports   to the ventilator

A sink collects from everyone, so it binds. The Guide's sink counts to a
number that it knows beforehand and waits for ever when one result is lost;
this one answers each file by its id, so that the ventilator knows what to
send again. It never takes a path from a worker.
"""

from collections.abc import Callable
from threading import Event

import zmq

from image_pipeline.delivery.announced import Announced
from image_pipeline.messages import MAX_RESULT
from image_pipeline.transport.curve import Keys
from image_pipeline.transport.sockets import Context, bound, connected

TICK_MS = 100


def collect(
    context: Context,
    endpoints: tuple[str, str],
    announced: Announced,
    stop: Event,
    *,
    once: bool = False,
    keys: Keys | None = None,
    on_bound: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve one batch after another until `stop`; with `once` only one.

    `on_bound` hears where results are taken. Raises TargetError when
    nothing more can be stored, after it has told the ventilator, and
    Refused when a key does not fit.
    """
    results_at, receipts_at = endpoints
    with (
        # region sockets
        bound(context, zmq.PULL, results_at, keys, limit=MAX_RESULT) as inbox,
        connected(context, zmq.PUSH, receipts_at, keys) as receipts,
        # endregion
    ):
        on_bound(inbox.endpoint)
        # region loop
        while not (stop.is_set() or (once and announced.batches)):
            try:
                if inbox.poll(TICK_MS):
                    announced.take(inbox.recv_multipart(copy=False))
            finally:
                while announced.receipts and receipts.poll(0, zmq.POLLOUT):
                    receipts.send(announced.next_receipts())
            receipts.peers.check("ventilator")
        # endregion
