"""Run: ventilator, workers and sink of one batch, on one machine.

Each part is the very function that also runs in a terminal of its own:

    tcp, ipc   workers are processes (`crew`), replaced when they die
    inproc     workers are threads of this process (`threads`)

The sink is a thread here. Receipts and plans go over inproc in any case.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Protocol

import zmq

from image_pipeline.delivery.announced import SinkSockets
from image_pipeline.delivery.roll import Departure
from image_pipeline.delivery.sockets import VentilatorSockets as Ventilator
from image_pipeline.outcome import FileRecord
from image_pipeline.sink import Sink
from image_pipeline.status import Incomplete, Status
from image_pipeline.storage.source import Files
from image_pipeline.storage.store import Store, TargetError
from image_pipeline.supervision.memory import keep_memory
from image_pipeline.supervision.processes import CrewError
from image_pipeline.transport import sockets
from image_pipeline.ventilator import deliver

RECEIPTS = "inproc://receipts"
SINK_END_S = 5.0


class Transport(StrEnum):
    TCP = "tcp"
    IPC = "ipc"
    INPROC = "inproc"


class Crew(Protocol):
    """The workers of a run: `crew.Processes` or `threads.Threads`."""

    count: int

    def work(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        tasks: str,
        results: str,
    ) -> None: ...

    def reap(self) -> list[Departure]: ...

    def close(self) -> bool: ...


class Running:
    """A pipeline that is set up, its workers on their way."""

    def __init__(
        self, ventilator: Ventilator, sink: Sink, crew: Crew
    ) -> None:
        self.crew = crew
        self._ventilator = ventilator
        self._sink = sink
        self._trouble = ""

    def deliver(
        self,
        files: Files,
        *,
        stop: threading.Event,
        record: Callable[[FileRecord], None],
        watch: Callable[[Status], None] = lambda _: None,
    ) -> None:
        """Make all thumbnails; see `batch.deliver`."""
        over = threading.Event()
        sink = threading.Thread(
            target=self._run_sink, args=(over,), name="sink", daemon=True
        )
        sink.start()
        try:
            deliver(
                self._ventilator,
                files,
                workers=self.crew.count,
                stop=stop,
                record=record,
                watch=watch,
                reap=self._reap,
            )
            sink.join(SINK_END_S)  # it has heard that nothing more comes
        finally:
            over.set()
            sink.join(SINK_END_S)

    def _run_sink(self, over: threading.Event) -> None:
        try:
            self._sink.run(over, once=True)
        except TargetError as error:
            self._trouble = str(error)
        except Exception as error:  # noqa: BLE001 - a thread tells nobody
            self._trouble = f"the sink failed: {error!r}"

    def _reap(self) -> list[Departure]:
        if self._trouble:
            raise Incomplete(self._trouble)
        try:
            return self.crew.reap()
        except CrewError as error:
            raise Incomplete(str(error)) from None


@contextmanager
def pipeline(
    store: Store, crew: Crew, transport: Transport = Transport.TCP
) -> Iterator[Running]:
    """Bind everything and let the workers of `crew` connect.

    They end with the pipeline. What else is to be prepared, finding the
    files say, is best done inside, while they connect.
    """
    keep_memory()
    with (
        sockets.context() as context,
        _endpoints(transport) as (tasks, results),
        SinkSockets(context, results, RECEIPTS) as collecting,
        Ventilator(
            context=context,
            tasks=tasks,
            results=collecting.endpoint,
            receipts=RECEIPTS,
        ) as ventilator,
    ):
        crew.work(context, ventilator.tasks_endpoint, collecting.endpoint)
        try:
            yield Running(ventilator, Sink(store, collecting), crew)
        finally:
            # A thread that hangs in a decoder holds its sockets.
            if not crew.close():
                sockets.abandon(context)


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
