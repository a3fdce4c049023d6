"""The commands of one role each, for a terminal or a machine of its own."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from image_pipeline.cli.options import (
    FOLDER,
    INCOMPLETE,
    F,
    end,
    files_of,
    find,
    listing,
    options,
    read_recipe,
    recipe,
    say,
)

if TYPE_CHECKING:
    import zmq

    from image_pipeline import messages_pb2 as pb
    from image_pipeline.transport.curve import Keys

TASKS = "tcp://127.0.0.1:5557"
RESULTS = "tcp://127.0.0.1:5558"
RECEIPTS = "tcp://127.0.0.1:5559"


def endpoint(name: str, default: str) -> Callable[[F], F]:
    return click.option(
        f"--{name}", default=default, show_default=True, metavar="ENDPOINT"
    )


secured = options(
    click.option(
        "--keys", type=FOLDER, help="Certificates that `keygen` made."
    ),
    click.option(
        "--insecure", is_flag=True, help="Bind beyond loopback without keys."
    ),
)


@click.command()
@click.argument("src", type=FOLDER, envvar="IMAGE_PIPELINE_VENTILATOR_SRC")
@endpoint("tasks", TASKS)
@endpoint("results", RESULTS)
@endpoint("receipts", RECEIPTS)
@click.option(
    "--workers",
    type=click.IntRange(1, 512),
    default=1,
    show_default=True,
    help="Start when so many are connected.",
)
@click.option(
    "--patience",
    type=click.FloatRange(0.1, 86_400),
    default=60.0,
    show_default=True,
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
    files_from: IO[bytes] | None,
    report: Path | None,
    quiet: bool,
    keys: Path | None,
    insecure: bool,
    **making: Any,
) -> None:
    """Send the images in SRC to workers; they answer through the sink."""
    from image_pipeline.cli.display import show_batch
    from image_pipeline.cli.signals import stop_on_signals
    from image_pipeline.delivery.sockets import (
        VentilatorSockets as Ventilator,
    )
    from image_pipeline.storage.names import Folding
    from image_pipeline.ventilator import deliver

    how, timeout, force = read_recipe(**making)
    found = find(src, None, files_from, how, Folding())
    with (
        stop_on_signals() as stop,
        zmq_context(
            keys, "server", [tasks, receipts], [results], insecure
        ) as (context, curve),
        Ventilator(
            context=context,
            tasks=tasks,
            results=results,
            receipts=receipts,
            keys=curve,
            patience=patience,
        ) as ends,
    ):
        if not quiet:
            say(f"tasks at {ends.tasks_endpoint}")
            say(f"waiting for workers: {workers}")
        code = show_batch(
            partial(deliver, ends, workers=workers),
            files_of(src, found, how, timeout, force),
            found,
            stop,
            report=report,
            quiet=quiet,
        )
    sys.exit(code)


@click.command()
@endpoint("tasks", TASKS)
@endpoint("results", RESULTS)
@click.option("--once", is_flag=True, help="Leave when the batch has ended.")
@click.option("--name", help="Unique among the workers.")
@click.option("--quiet", is_flag=True, help="Print no line for each image.")
@click.option("--keys", type=FOLDER, help="Certificates of `keygen`.")
def worker(
    tasks: str,
    results: str,
    once: bool,
    name: str | None,
    quiet: bool,
    keys: Path | None,
) -> None:
    """Turn images into thumbnails until Ctrl-C."""
    import socket

    from image_pipeline.cli.signals import stop_on_signals
    from image_pipeline.delivery.tasks import TaskSockets, die_after
    from image_pipeline.imaging.thumbnail import make_thumbnails, prepare
    from image_pipeline.messages import MOST_TEXT
    from image_pipeline.status import Incomplete
    from image_pipeline.supervision.memory import keep_memory
    from image_pipeline.transport.monitor import Refused
    from image_pipeline.worker import work

    def show(report: "pb.Report") -> None:
        if line := outcome_line(report):
            say(line)

    keep_memory()
    prepare()
    name = name or f"{socket.gethostname()} {os.getpid()}"
    if len(name) > MOST_TEXT or not name.isprintable():
        raise click.UsageError(
            f"--name: give at most {MOST_TEXT} letters that can be printed"
        )
    with (
        stop_on_signals() as stop,
        zmq_context(keys, "client", [], [tasks, results]) as (
            context,
            curve,
        ),
    ):
        if not quiet:
            say(f"{name} takes tasks from {tasks}")
        try:
            with TaskSockets(
                context, tasks, results, stop=stop, once=once, keys=curve
            ) as ends:
                made = work(
                    make_thumbnails,
                    ends,
                    name,
                    alarm=die_after,
                    watch=(lambda _: None) if quiet else show,
                )
        except (Refused, Incomplete) as error:
            end(error, INCOMPLETE)
    if not quiet:
        say(f"{name} made thumbnails of {made} images")


@click.command()
@click.argument(
    "dst",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="IMAGE_PIPELINE_SINK_DST",
)
@endpoint("results", RESULTS)
@endpoint("receipts", RECEIPTS)
@click.option("--once", is_flag=True, help="Leave when the batch has ended.")
@secured
def sink(
    dst: Path,
    results: str,
    receipts: str,
    once: bool,
    keys: Path | None,
    insecure: bool,
) -> None:
    """Write thumbnails below DST, batch after batch, until Ctrl-C."""
    from image_pipeline.cli.signals import stop_on_signals
    from image_pipeline.delivery.announced import SinkSockets
    from image_pipeline.sink import Sink
    from image_pipeline.storage.store import Store, TargetError
    from image_pipeline.transport.monitor import Refused

    try:
        with (
            stop_on_signals() as stop,
            zmq_context(keys, "server", [results], [receipts], insecure) as (
                context,
                curve,
            ),
            Store(dst) as store,
            SinkSockets(context, results, receipts, curve) as ends,
        ):
            collector = Sink(store, ends)
            say(f"results at {ends.endpoint}, written to {dst}")
            while not stop.is_set():
                collector.run(stop, once=True)
                if not stop.is_set():
                    say(f"batch ended: {collector.made} made so far")
                if once:
                    break
    except (TargetError, Refused) as error:
        end(error, INCOMPLETE)


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def keygen(folder: Path) -> None:
    """Write a server's and a client's certificate into FOLDER."""
    from image_pipeline.transport.curve import BadKeys, generate

    try:
        made = generate(folder)
    except (BadKeys, OSError) as error:
        raise click.UsageError(str(error)) from None
    for path in made:
        say(path)


@contextmanager
def zmq_context(
    keys: Path | None,
    role: str,
    binds: list[str],
    connects: list[str],
    insecure: bool = False,
) -> "Iterator[tuple[zmq.Context[zmq.Socket[bytes]], Keys | None]]":
    """Lend a context with a guard at its doors; errors become sentences."""
    import zmq

    from image_pipeline.transport import curve, sockets

    try:
        loaded = curve.load(keys, role) if keys else None
        for endpoint in binds:
            sockets.check_exposure(endpoint, loaded, insecure)
        for endpoint in connects:
            if why := sockets.host_trouble(endpoint):
                say(f"{endpoint}: {why}; trying on", err=True)
        with sockets.context() as context, curve.guard(context, loaded):
            yield context, loaded
    except (curve.BadKeys, sockets.Exposed) as error:
        raise click.UsageError(str(error)) from None
    except sockets.Unusable as error:
        end(error, INCOMPLETE)
    except zmq.ZMQError as error:
        end(f"cannot make a socket: {error.strerror}", INCOMPLETE)


def outcome_line(report: "pb.Report") -> str:
    """Say in a line what a worker did, if it has; it knows no names."""
    from image_pipeline import messages_pb2 as pb

    if report.stage == pb.STAGE_STARTED:
        return ""
    number = report.id & 0xFFFF_FFFF
    if report.stage != pb.STAGE_MADE:
        return f"image {number}: {report.reason}"
    size = f"{report.width} x {report.height} pixels"
    return f"image {number}: {size} in {report.seconds * 1000:.0f} ms"
