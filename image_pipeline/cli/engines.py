"""The engine of a batch: workers on this machine, or a Dask cluster."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import click

from image_pipeline.cli.options import MAKE, say

if TYPE_CHECKING:
    from image_pipeline.cli.display import Deliver
    from image_pipeline.storage.store import Store
    from image_pipeline.supervision.supervisor import Supervisor


def start_workers(transport: str, workers: int | None) -> "Supervisor":
    from image_pipeline.supervision.processes import Processes

    count = workers or len(os.sched_getaffinity(0))
    # What is loaded by now stays. A collector that walks it again and again
    # finds nothing, and copies for each forked worker the pages it shares.
    gc.freeze()
    if transport == "inproc":
        from image_pipeline.supervision.threads import Threads

        return Threads(count, MAKE)
    say_whether_shut_in()
    return Processes(count, MAKE)


def say_whether_shut_in() -> None:
    """Warn if the kernel has no landlock, so decoders can open files."""
    from image_pipeline.supervision.sandbox import landlock_version

    if not landlock_version():
        say("no landlock in this kernel: decoders can open files", err=True)


@contextmanager
def here(
    store: "Store", workers: "Supervisor", transport: str
) -> Iterator["Deliver"]:
    from image_pipeline.run import run
    from image_pipeline.storage.thumbnails import Thumbnails
    from image_pipeline.transport.endpoints import Transport

    yield partial(
        run,
        store=Thumbnails(store),
        workers=workers,
        transport=Transport(transport),
    )


@contextmanager
def on_cluster(store: "Store", scheduler: str) -> Iterator["Deliver"]:
    try:
        from image_pipeline.cluster import cluster
    except ImportError:
        raise click.UsageError(
            "--scheduler needs Dask: pip install 'beyond-http[cluster]'"
        ) from None
    with cluster(store, scheduler) as running:
        yield running.deliver
