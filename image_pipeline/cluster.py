"""Cluster: the same thumbnails, made by the workers of a Dask scheduler.

    client of a Dask scheduler; there is no ZeroMQ socket in this module

This process walks, reads and writes as ventilator and sink do, and only the
pixels are made elsewhere. Dask keeps each image until its thumbnails are
back, gives it to another worker when one dies, and gives it up after four
deaths (Dask documentation, "Resilience"). Take it where retries, dashboards
and deployment on Kubernetes or Slurm shall come from an engine that exists.
"""

import queue
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event
from typing import Any

from dask import config
from distributed import Client, Future, KilledWorker
from distributed.comm.addressing import resolve_address

from image_pipeline.imaging.make import make
from image_pipeline.messages_pb2 import SourceFile
from image_pipeline.outcome import (
    CannotKeep,
    CannotMake,
    Changed,
    FileRecord,
    Incomplete,
    Made,
    Outcome,
    Status,
    TargetError,
    Unfit,
    Unreadable,
)
from image_pipeline.storage.source import Files
from image_pipeline.storage.store import Store
from image_pipeline.storage.thumbnails import Thumbnails

CONNECT_S = 10.0
TICK_S = 0.2
FETCH_S = 5.0
WINDOW_BYTES = 256 * 2**20  # of images read and not yet made
READS = 3  # of a file that changes while it is read

# The thumbnails of one image and the seconds they took, with the cluster.
RemoteResult = Future[tuple[Made, float]]


@contextmanager
def cluster(
    store: Store, scheduler: str, timeout: float = CONNECT_S
) -> Iterator["Cluster"]:
    """Yield a cluster with at least one worker.

    Raises Incomplete when there is none after `timeout` seconds.
    """
    try:
        resolve_address(scheduler)  # a client that cannot is slow to end
        client = Client(scheduler, timeout=timeout, set_as_default=False)
    except (OSError, ValueError) as error:
        raise Incomplete(
            f"no Dask scheduler answers at {scheduler}: {error}; start one "
            "with `dask scheduler`"
        ) from error
    # Else a client asks a scheduler that has died for half a minute.
    patience = config.set({"distributed.comm.timeouts.connect": timeout})
    with patience, client:
        try:
            client.wait_for_workers(1, timeout=timeout)
        except TimeoutError:
            raise Incomplete(
                f"the Dask scheduler at {scheduler} has no worker after "
                f"{timeout:.0f} s; start one with `dask worker {scheduler}`"
            ) from None
        yield Cluster(client, store)


@dataclass
class Cluster:
    """A Dask cluster that stands in for our ventilator and workers."""

    client: Client
    store: Store

    def deliver(
        self,
        files: Files,
        *,
        stop: Event,
        record: Callable[[FileRecord], None],
        watch: Callable[[Status], None] = lambda _: None,
    ) -> None:
        """Bring every file to its outcome, as `run` does.

        Raises Incomplete, with all files recorded, when the scheduler has
        gone, or when nothing is finished for the time that one image may
        take: Dask can end a task only by ending its worker, which is not
        ours to do.
        """
        batch = _Batch(self.client, self.store, files, record)
        why = "interrupted"
        try:
            while batch.fill(stop):
                batch.collect()
                watch(Status(len(files.names)))
        except (Incomplete, TargetError) as error:
            why = str(error)
            raise Incomplete(why) from error
        except (OSError, CancelledError) as error:
            why = "the Dask scheduler has gone"
            raise Incomplete(why) from error
        finally:
            batch.end(why)


def make_remotely(data: bytes, instructions: bytes) -> tuple[Made, float]:
    """Runs on a Dask worker; returns the thumbnails and the seconds."""
    began = time.monotonic()
    return make(data, instructions), time.monotonic() - began


class _Batch:
    """The images that are with the cluster, and those still to go."""

    def __init__(
        self,
        client: Client,
        store: Store,
        files: Files,
        record: Callable[[FileRecord], None],
    ) -> None:
        self._client, self._files, self._record = client, files, record
        self._target = Thumbnails(store)
        self._target.begin(files.instructions)
        self._waiting = iter(range(1, len(files.names) + 1))
        self._in_flight: dict[RemoteResult, SourceFile] = {}
        self._finished: queue.SimpleQueue[RemoteResult] = queue.SimpleQueue()
        self._heard = time.monotonic()

    def fill(self, stop: Event) -> bool:
        """Hand out what there is room for; return whether any is out."""
        threads = sum(self._client.nthreads().values())
        while not stop.is_set() and self._has_room(threads):
            number = next(self._waiting, None)
            if number is None:
                break
            try:
                self._begin(number)
            except Unreadable as error:
                self._close(number, error.outcome, str(error))
        return bool(self._in_flight)

    def _has_room(self, threads: int) -> bool:
        """Two images for each thread keep it busy; a few fit in memory."""
        held = sum(file.size for file in self._in_flight.values())
        return (
            len(self._in_flight) < 2 * max(1, threads) and held < WINDOW_BYTES
        )

    def _begin(self, number: int) -> None:
        files = self._files
        for _ in range(READS):
            size, mtime_ns, mode = files.measure(number)
            file = SourceFile(
                id=number,
                name=files.name(number),
                size=size,
                mtime_ns=mtime_ns,
                mode=mode,
            )
            if not files.force and self._target.is_current(file):
                self._close(number, Outcome.CURRENT)
                return
            with suppress(Changed):
                image = files.read(number)
                break
        else:
            raise Unreadable(Outcome.FAILED, "it changes while it is read")
        # Inside the task and not scattered: so the scheduler keeps it, and
        # a worker that dies takes no image with it.
        future = self._client.submit(
            make_remotely, image, files.instructions, pure=False
        )
        self._in_flight[future] = file
        future.add_done_callback(self._finished.put)

    def collect(self) -> None:
        """Record the results that come within a tick."""
        try:
            future = self._finished.get(timeout=TICK_S)
            self._finish(future)
        except TimeoutError:  # its worker has died and another one does it
            self._finished.put(future)
        except queue.Empty:
            pass
        else:
            self._heard = time.monotonic()
        if time.monotonic() - self._heard > self._files.timeout:
            raise Incomplete(
                f"the cluster finished nothing in {self._files.timeout:g} s"
            )

    def _finish(self, future: RemoteResult) -> None:
        file = self._in_flight[future]
        outcome = Outcome.FAILED
        facts: dict[str, float] = {}
        try:
            made, seconds = future.result(timeout=FETCH_S)
            self._target.keep(file, made.results)
            outcome, reason = Outcome.MADE, "; ".join(made.notes)
            facts = {
                "width": made.width,
                "height": made.height,
                "seconds": seconds,
            }
        except Unfit as error:
            ended = self._files.unfit(file.id, str(error))
            outcome, reason = ended.outcome, str(ended)
        except (CannotMake, CannotKeep) as error:
            reason = str(error)
        except KilledWorker as error:
            reason = f"killed its worker {error.allowed_failures + 1} times"
        except (OSError, CancelledError, TargetError):
            raise
        except Exception as error:  # noqa: BLE001 - anything, from afar
            reason = (
                f"its Dask worker could not run this: {error!r}; install "
                "the same beyond-http there"
            )
        if outcome is not Outcome.MADE:
            self._target.discard(file)
        del self._in_flight[future]
        self._close(file.id, outcome, reason, **facts)

    def _close(
        self, number: int, outcome: Outcome, reason: str = "", **made: Any
    ) -> None:
        attempts = int(outcome is not Outcome.CURRENT)
        self._record(
            self._files.final(
                number, outcome, reason, attempts=attempts, **made
            )
        )

    def end(self, why: str) -> None:
        """Record the other files as unfinished."""
        in_flight = [file.id for file in self._in_flight.values()]
        for number in (*in_flight, *self._waiting):
            self._close(number, Outcome.UNFINISHED, why)
