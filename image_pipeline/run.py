"""Run: ventilator, workers and sink of one batch, on one machine.

Each part is the very function that also runs in a terminal of its own:

    tcp, ipc   workers are processes, replaced when they die
    inproc     workers are threads of this process

Ventilator and sink share this process in any case, so receipts go over
inproc. Who calls `run` chooses the kind of worker: `Processes` or `Threads`.
With threads the endpoints of the workers are inproc, and they share our
context; nothing else differs here.

Other users of the machine can reach every port of its loopback. So over tcp
all have keys (CURVE), which are made for this one run.
"""

from collections.abc import Callable
from contextlib import ExitStack
from threading import Event

from image_pipeline.delivery.batch import Batch
from image_pipeline.delivery.handed_in import Source, Store
from image_pipeline.outcome import FileRecord, Incomplete, Status
from image_pipeline.supervision.sink_thread import SinkThread
from image_pipeline.supervision.supervisor import Supervisor
from image_pipeline.transport import curve, sockets
from image_pipeline.transport.endpoints import Transport, private_endpoints
from image_pipeline.ventilator import ventilate

RECEIPTS = "inproc://receipts"


def run(
    source: Source,
    store: Store,
    workers: Supervisor,
    transport: Transport = Transport.IPC,
    *,
    stop: Event,
    record: Callable[[FileRecord], None],
    watch: Callable[[Status], None] = lambda _: None,
) -> None:
    """Bring every file of `source` to its outcome; `record` hears each.

    Raises Incomplete like `ventilate`. The workers are closed at the end.
    """

    def look(status: Status) -> None:
        workers.look()
        if sink.trouble:
            raise Incomplete(sink.trouble)
        status.note = sink.dropped or status.note
        watch(status)

    ours = theirs = None
    if transport is Transport.TCP:
        ours, theirs = curve.for_one_run()
    with (
        sockets.context() as context,
        curve.guard(context, ours),
        private_endpoints(transport) as (tasks, results),
        SinkThread(context, (results, RECEIPTS), store, ours) as sink,
        ExitStack() as at_work,
    ):

        def start(tasks: str) -> None:
            at_work.callback(_close, workers, context)
            at_work.enter_context(
                workers.working(context, tasks, sink.endpoint, theirs)
            )

        batch = Batch(
            source,
            stop=stop,
            record=record,
            watch=look,
            workers=workers.count,
        )
        at = tasks, sink.endpoint, RECEIPTS
        ventilate(context, at, batch, ours, on_bound=start)


def _close(workers: Supervisor, context: sockets.Context) -> None:
    if not workers.close():
        # A thread that hangs in a decoder holds its sockets.
        sockets.abandon(context)
