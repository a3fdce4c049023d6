"""Run: ventilator, workers and sink of one batch, on one machine.

Each part is the very function that also runs in a terminal of its own:

    tcp, ipc   workers are processes, replaced when they die
    inproc     workers are threads of this process

Ventilator and sink share this process in any case, so receipts go over
inproc; only the endpoints of the workers and their context differ.

Other users of the machine can reach every port of its loopback. So over tcp
all have keys (CURVE), which are made for this one run.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum

from image_pipeline.delivery.announced import Announced
from image_pipeline.delivery.batch import Batch
from image_pipeline.delivery.handed_in import Source, Store
from image_pipeline.outcome import (
    FileRecord,
    Incomplete,
    Status,
    TargetError,
)
from image_pipeline.sink import collect
from image_pipeline.supervision.supervisor import Supervisor
from image_pipeline.transport import curve, sockets
from image_pipeline.transport.endpoints import Unusable
from image_pipeline.ventilator import ventilate

RECEIPTS = "inproc://receipts"
BIND_S = 10.0
SINK_END_S = 5.0


class Transport(StrEnum):
    TCP = "tcp"
    IPC = "ipc"
    INPROC = "inproc"


def run(
    source: Source,
    store: Store,
    workers: Supervisor,
    transport: Transport = Transport.IPC,
    *,
    stop: threading.Event,
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
        status.note = status.note or sink.dropped
        watch(status)

    ours = theirs = None
    if transport is Transport.TCP:
        ours, theirs = curve.for_one_run()
    with (
        sockets.context() as context,
        curve.guard(context, ours),
        _endpoints(transport) as (tasks, results),
        _SinkThread(context, results, store, ours) as sink,
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
        sink.thread.join(SINK_END_S)  # it has heard that nothing more comes


def _close(workers: Supervisor, context: sockets.Context) -> None:
    if not workers.close():
        # A thread that hangs in a decoder holds its sockets.
        sockets.abandon(context)


class _SinkThread:
    """A sink for one batch; `trouble` and `dropped` say what went wrong."""

    def __init__(
        self,
        context: sockets.Context,
        results: str,
        store: Store,
        keys: curve.Keys | None,
    ) -> None:
        self.trouble = self.dropped = ""
        self._over = threading.Event()
        self._bound: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._announced = Announced(store, keys, on_drop=self._drop)
        self.thread = threading.Thread(
            target=self._run, args=(context, results, keys), daemon=True
        )

    def __enter__(self) -> "_SinkThread":
        self.thread.start()
        self.endpoint = self._bound.get(timeout=BIND_S)
        if self.trouble:
            raise Unusable(self.trouble)
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self.thread.join(SINK_END_S)

    def _drop(self, reason: str) -> None:
        self.dropped = f"the sink drops messages: {reason}"

    def _run(
        self, context: sockets.Context, results: str, keys: curve.Keys | None
    ) -> None:
        try:
            collect(
                context,
                (results, RECEIPTS),
                self._announced,
                self._over,
                once=True,
                keys=keys,
                on_bound=self._bound.put,
            )
        except (TargetError, Unusable) as error:
            self.trouble = str(error)
        except Exception as error:  # noqa: BLE001 - a thread tells nobody
            self.trouble = f"the sink failed: {error!r}"
        finally:
            self._bound.put("")


@contextmanager
def _endpoints(transport: Transport) -> Iterator[tuple[str, str]]:
    match transport:
        case Transport.TCP:
            yield "tcp://127.0.0.1:*", "tcp://127.0.0.1:*"
        case Transport.INPROC:  # these names are known in our context only
            yield "inproc://tasks", "inproc://results"
        case Transport.IPC:  # in a folder that is ours alone
            from tempfile import TemporaryDirectory

            with TemporaryDirectory() as folder:
                yield f"ipc://{folder}/tasks", f"ipc://{folder}/results"
