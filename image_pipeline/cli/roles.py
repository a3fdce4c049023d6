"""The commands of one role each, for a terminal or a machine of its own."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from image_pipeline.cli.engines import say_whether_shut_in
from image_pipeline.cli.options import (
    FOLDER,
    MAKE,
    SECONDS,
    TARGET,
    Command,
    F,
    Number,
    Options,
    flag,
    listing,
    overwrite,
    recipe,
    say,
    secured,
)

if TYPE_CHECKING:
    import zmq

    from image_pipeline.storage.source import Files
    from image_pipeline.transport.curve import Keys

TASKS = "tcp://127.0.0.1:5557"
RESULTS = "tcp://127.0.0.1:5558"
RECEIPTS = "tcp://127.0.0.1:5559"
COUNT = Number(1, 512)


def endpoint(name: str, default: str) -> Callable[[F], F]:
    return click.option(f"--{name}", default=default, metavar="ENDPOINT")


@click.command(cls=Command)
@click.argument("src", type=FOLDER, envvar="IMAGE_PIPELINE_VENTILATOR_SRC")
@endpoint("tasks", TASKS)
@endpoint("results", RESULTS)
@endpoint("receipts", RECEIPTS)
@click.option(
    "--workers",
    type=COUNT,
    default=1,
    help="Start when so many are connected.",
)
@click.option(
    "--patience",
    type=SECONDS,
    default=60.0,
    metavar="S",
    help="Seconds to wait for somebody who is missing.",
)
@recipe
@listing
@secured
def ventilator(
    src: Path,
    tasks: str,
    results: str,
    receipts: str,
    workers: int,
    patience: float,
    keys: Path | None,
    insecure: bool,
    report: Path | None,
    quiet: bool,
    **chosen: Any,
) -> None:
    """Send the images in SRC to workers, until each has a receipt."""
    from image_pipeline.cli.display import show_batch
    from image_pipeline.cli.signals import stop_on_signals
    from image_pipeline.delivery.batch import Batch
    from image_pipeline.storage.names import Folding
    from image_pipeline.ventilator import ventilate

    found, files = Options.read(src=src, **chosen).find(Folding())

    def on_bound(endpoint: str) -> None:
        if not quiet:
            say(f"tasks at {endpoint}{open_to(endpoint, curve)}")
            say(f"waiting for workers: {workers}")

    def deliver(files: "Files", **callbacks: Any) -> None:
        batch = Batch(
            files, workers=workers, patience=patience, keys=curve, **callbacks
        )
        ventilate(context, (tasks, results, receipts), batch, curve, on_bound)

    with (
        stop_on_signals() as stop,
        guarded(keys, [tasks, receipts], [results], insecure) as (
            context,
            curve,
        ),
    ):
        code = show_batch(
            deliver, files, found, stop, report=report, quiet=quiet
        )
    sys.exit(code)


@click.command(cls=Command)
@endpoint("tasks", TASKS)
@endpoint("results", RESULTS)
@click.option(
    "--processes",
    "-j",
    type=COUNT,
    default=1,
    metavar="N",
    help="How many images at a time.",
)
@flag("--once", "Leave when the batch has ended.")
@click.option("--name", help="Unique among the workers.")
@flag("--quiet", "Print no line for each image.")
@click.option("--keys", type=FOLDER, help="Certificates of `keygen`.")
def worker(
    tasks: str,
    results: str,
    processes: int,
    once: bool,
    name: str | None,
    quiet: bool,
    keys: Path | None,
) -> None:
    """Turn images into thumbnails until Ctrl-C.

    The processes that decode have 2 GiB of memory and, where the kernel has
    landlock, no file of yours.
    """
    import socket

    from image_pipeline.cli.signals import stop_on_signals
    from image_pipeline.messages import MAX_TEXT
    from image_pipeline.supervision.processes import Processes

    name = name or f"{socket.gethostname()} {os.getpid()}"
    if len(name) > MAX_TEXT - 20 or not name.isprintable():
        raise click.UsageError(
            f"--name: give at most {MAX_TEXT - 20} printable letters"
        )
    say_whether_shut_in()
    start = partial(
        Processes, processes, MAKE, name=name, once=once, verbose=not quiet
    )
    with (
        stop_on_signals() as stop,
        closing(start()) as workers,
        guarded(keys, [], [tasks, results]) as (context, curve),
        workers.working(context, tasks, results, curve),
    ):
        if not quiet:
            say(f"{name} takes tasks from {tasks}")
        workers.serve(stop)


@click.command(cls=Command)
@click.argument("dst", type=TARGET, envvar="IMAGE_PIPELINE_SINK_DST")
@endpoint("results", RESULTS)
@endpoint("receipts", RECEIPTS)
@flag("--once", "Leave when the batch has ended.")
@overwrite
@secured
def sink(
    dst: Path,
    results: str,
    receipts: str,
    once: bool,
    overwrite: bool,
    keys: Path | None,
    insecure: bool,
) -> None:
    """Write thumbnails below DST, batch after batch, until Ctrl-C."""
    from image_pipeline.cli.signals import stop_on_signals
    from image_pipeline.delivery.announced import Announced
    from image_pipeline.sink import collect
    from image_pipeline.storage.store import Store
    from image_pipeline.storage.thumbnails import Thumbnails

    def on_drop(reason: str) -> None:
        say(f"dropped a message: {reason}")

    def on_end() -> None:
        dropped = announced.dropped
        also = f", {dropped} messages dropped" if dropped else ""
        say(f"batch ended: {announced.made} made so far{also}")

    def on_bound(endpoint: str) -> None:
        say(f"results at {endpoint}{open_to(endpoint, curve)}")
        say(f"written to {dst}")

    with (
        stop_on_signals() as stop,
        guarded(keys, [results], [receipts], insecure) as (context, curve),
        Store(dst, overwrite) as store,
    ):
        announced = Announced(Thumbnails(store), curve, on_end, on_drop)
        collect(
            context,
            (results, receipts),
            announced,
            stop,
            once=once,
            keys=curve,
            on_bound=on_bound,
        )


def open_to(endpoint: str, keys: "Keys | None") -> str:
    """Return a warning where no key is needed to take part."""
    if keys or not endpoint.startswith("tcp:"):
        return ""
    return ", open to every user of this machine (no --keys)"


@contextmanager
def guarded(
    keys: Path | None,
    binds: list[str],
    connects: list[str],
    insecure: bool = False,
) -> "Iterator[tuple[zmq.Context[zmq.Socket[bytes]], Keys | None]]":
    """Yield a context that checks keys; who binds has the server's."""
    from image_pipeline.supervision.process import allow_files
    from image_pipeline.transport import curve, endpoints, sockets

    allow_files()
    role = "server" if binds else "client"
    loaded = curve.load(keys, role) if keys else None
    for endpoint in binds:
        endpoints.check_exposure(endpoint, loaded, insecure)
    for endpoint in connects:
        if why := endpoints.host_trouble(endpoint):
            say(f"{endpoint}: {why}; trying on", err=True)
    with sockets.context() as context, curve.guard(context, loaded):
        yield context, loaded
