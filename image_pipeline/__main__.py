"""Command line of the image pipeline; `--help` says what there is.

What is imported here must be quick: `--help` needs nothing else, and each
worker process begins here too.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn, TypeVar

import click

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import zmq

    from image_pipeline.cluster import Cluster
    from image_pipeline.curve import Keys
    from image_pipeline.files import Files
    from image_pipeline.names import Folding
    from image_pipeline.recipe import Recipe
    from image_pipeline.run import Crew
    from image_pipeline.store import Store
    from image_pipeline.walk import Found
    from proto import messages_pb2 as pb

TASKS = "tcp://127.0.0.1:5557"
RESULTS = "tcp://127.0.0.1:5558"
RECEIPTS = "tcp://127.0.0.1:5559"
INCOMPLETE = 3  # exit codes, as in `outcomes.ExitCode`
INTERRUPTED = 130
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
F = TypeVar("F", bound=Callable[..., Any])


def options(*several: Callable[[F], F]) -> Callable[[F], F]:
    """Apply several options at once, in the order of the help."""

    def apply(command: F) -> F:
        for option in reversed(several):
            command = option(command)
        return command

    return apply


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
recipe = options(
    click.option(
        "--size",
        "sizes",
        multiple=True,
        default=["256"],
        metavar="N|WxH",
        help="Box to fit into, in pixels; may be repeated.  [default: 256]",
    ),
    click.option(
        "--format",
        "format_",
        type=click.Choice(["jpeg", "webp", "png", "avif"]),
        default="jpeg",
        show_default=True,
    ),
    click.option(
        "--quality",
        type=click.IntRange(1, 100),
        default=80,
        show_default=True,
    ),
    click.option(
        "--strict", is_flag=True, help="Fail images that are damaged a bit."
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(0.1, 86_400),
        default=60.0,
        show_default=True,
        metavar="S",
        help="Seconds that one image may take.",
    ),
    click.option(
        "--max-pixels",
        type=click.IntRange(1),
        default=2**28,
        show_default=True,
        metavar="N",
        help="Fail images with more, before decoding them.",
    ),
    click.option(
        "--force", is_flag=True, help="Make even what is up to date."
    ),
)
listing = options(
    click.option(
        "--files-from",
        "files_from",
        type=click.File("rb"),
        metavar="FILE|-",
        help="Take the names in this file, by line or NUL, relative to SRC.",
    ),
    click.option(
        "--report",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Write a line of JSON for each file.",
    ),
    click.option("--quiet", is_flag=True, help="Print only the end."),
)


def end(sentence: object, code: int) -> NoReturn:
    """Say on stderr why it ends here, and exit with `code`."""
    click.echo(f"{sentence}", err=True)
    sys.exit(code)


@click.group(
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "IMAGE_PIPELINE",
    }
)
def main() -> None:
    """Thumbnails of a big folder: PUSH/PULL, and no image is ever lost.

    `run` does everything on this machine. `ventilator`, `worker` and `sink`
    are its parts, each for a terminal or a machine of its own.

    Each option also reads an environment variable, such as
    IMAGE_PIPELINE_RUN_WORKERS or IMAGE_PIPELINE_WORKER_TASKS.

    Exit codes: 0 all well, 1 some files failed, 2 wrong usage, 3 the batch
    could not be finished, 130 interrupted.
    """


@main.command()
@click.argument("src", type=FOLDER, envvar="IMAGE_PIPELINE_RUN_SRC")
@click.argument(
    "dst",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="IMAGE_PIPELINE_RUN_DST",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 512),
    help="How many.  [default: one for each core]",
)
@click.option(
    "--transport",
    type=click.Choice(["tcp", "ipc", "inproc"]),
    default="tcp",
    show_default=True,
    help="tcp and ipc: worker processes; inproc: threads.",
)
@click.option(
    "--scheduler",
    metavar="ENDPOINT",
    help="Use the workers of this Dask scheduler instead.",
)
@recipe
@listing
@click.option("--gallery", is_flag=True, help="Also write DST/index.html.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
def run(
    src: Path,
    dst: Path,
    workers: int | None,
    transport: str,
    scheduler: str | None,
    files_from: IO[bytes] | None,
    report: Path | None,
    gallery: bool,
    dry_run: bool,
    quiet: bool,
    **making: Any,
) -> None:
    """Make thumbnails of all images in SRC below DST.

    The same command again resumes: what is up to date is left alone.
    """
    from image_pipeline.walk import BadFolders, check_folders

    how, timeout, force = read_recipe(**making)
    try:
        check_folders(src, dst)
    except BadFolders as error:
        raise click.UsageError(str(error)) from None
    if gallery:
        check_gallery(dst)
    if dry_run:
        rehearse(src, dst, files_from, how, force)
    # Worker processes load their decoders while we load the rest.
    crew = None if scheduler else hire(transport, workers)

    from image_pipeline.gallery import PAGE
    from image_pipeline.run import Transport, pipeline
    from image_pipeline.status import Incomplete
    from image_pipeline.store import CannotKeep, Store, TargetError
    from image_pipeline.terminal import show_batch

    try:
        with (
            closing(crew) if crew else nullcontext(),
            Store(dst) as store,
            pipeline(store, crew, Transport(transport))
            if crew
            else on_cluster(store, scheduler or "") as running,
        ):
            found = find(src, dst, files_from, how, store.folding())
            code = show_batch(
                running.deliver,
                files_of(src, found, how, timeout, force),
                found,
                report=report,
                keep_sheet=partial(store.write, PAGE) if gallery else None,
                quiet=quiet,
            )
    except (TargetError, Incomplete) as error:
        end(error, INCOMPLETE)
    except CannotKeep as error:
        end(f"no gallery in {dst}: {error}", INCOMPLETE)
    sys.exit(code)


@main.command()
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
    from image_pipeline.batch import deliver
    from image_pipeline.names import Folding
    from image_pipeline.terminal import show_batch
    from image_pipeline.ventilator import Ventilator

    how, timeout, force = read_recipe(**making)
    found = find(src, None, files_from, how, Folding())
    with (
        zmq_context(keys, "server", [tasks, receipts], insecure) as (
            context,
            curve,
        ),
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
            click.echo(f"tasks at {ends.tasks_endpoint}")
            click.echo(f"waiting for workers: {workers}")
        code = show_batch(
            partial(deliver, ends, workers=workers),
            files_of(src, found, how, timeout, force),
            found,
            report=report,
            quiet=quiet,
        )
    sys.exit(code)


@main.command()
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

    from image_pipeline.links import Refused
    from image_pipeline.memory import keep_memory
    from image_pipeline.pixels import make_thumbnails, prepare
    from image_pipeline.signals import stop_on_signals
    from image_pipeline.worker import die_after, outcome_line, work

    def show(report: "pb.Report") -> None:
        if line := outcome_line(report):
            click.echo(line)

    keep_memory()
    prepare()
    name = name or f"{socket.gethostname()} {os.getpid()}"
    with (
        stop_on_signals() as stop,
        zmq_context(keys, "client", [], False) as (context, curve),
    ):
        if not quiet:
            click.echo(f"{name} takes tasks from {tasks}")
        try:
            made = work(
                make_thumbnails,
                context=context,
                tasks=tasks,
                results=results,
                name=name,
                stop=stop,
                once=once,
                alarm=die_after,
                keys=curve,
                watch=(lambda _: None) if quiet else show,
            )
        except Refused as error:
            end(error, INCOMPLETE)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
    if not quiet:
        click.echo(f"{name} made thumbnails of {made} images")


@main.command()
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
    from image_pipeline.links import Refused
    from image_pipeline.signals import stop_on_signals
    from image_pipeline.sink import Sink
    from image_pipeline.store import Store, TargetError

    try:
        with (
            stop_on_signals() as stop,
            zmq_context(keys, "server", [results], insecure) as (
                context,
                curve,
            ),
            Store(dst) as store,
            Sink(
                store,
                context=context,
                results=results,
                receipts=receipts,
                keys=curve,
            ) as collector,
        ):
            click.echo(f"results at {collector.endpoint}, written to {dst}")
            while not stop.is_set():
                collector.run(stop, once=True)
                if not stop.is_set():
                    click.echo(f"batch ended: {collector.made} made so far")
                if once:
                    break
    except (TargetError, Refused) as error:
        end(error, INCOMPLETE)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


@main.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def keygen(folder: Path) -> None:
    """Write a server's and a client's certificate into FOLDER."""
    from image_pipeline.curve import BadKeys, generate

    try:
        for path in generate(folder):
            click.echo(path)
    except (BadKeys, OSError) as error:
        raise click.UsageError(str(error)) from None


@main.command()
def demo() -> None:
    """Watch a worker being killed, and no image lost (about 15 seconds)."""
    import shutil
    import tempfile

    from image_pipeline.demo import run
    from image_pipeline.signals import stop_on_signals
    from image_pipeline.store import TargetError

    folder = Path(tempfile.mkdtemp(prefix="thumbnails-"))
    with stop_on_signals() as stop:
        try:
            well = run(
                folder,
                stop,
                lambda text: click.secho(text, bold=True, fg="cyan"),
                lambda text: click.echo(f"   {text}"),
            )
        except (TargetError, OSError) as error:
            end(error, INCOMPLETE)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        finally:
            shutil.rmtree(folder / "photographs", ignore_errors=True)
    if stop.is_set():
        sys.exit(INTERRUPTED)
    verdict = "every image was made" if well else "NOT every image was made"
    click.secho(verdict, bold=True, fg="green" if well else "red")
    sys.exit(0 if well else 1)


@main.command()
@click.argument("src", type=FOLDER, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--full", is_flag=True, help="Measure more: ten minutes.")
def bench(src: Path | None, as_json: bool, full: bool) -> None:
    """Compare `run` with vipsthumbnail, mogrify and a bare process pool.

    On the photographs in SRC, or on made-up ones.
    """
    import json
    import signal

    from image_pipeline.bench import FULL, QUICK, measure
    from image_pipeline.figures import as_tables
    from image_pipeline.stopwatch import Stuck

    # What it has started must not outlive it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        result = measure(
            src, FULL if full else QUICK, partial(click.echo, err=True)
        )
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except (Stuck, OSError) as error:
        end(f"cannot measure: {error}", INCOMPLETE)
    if as_json:
        click.echo(json.dumps(result.as_dict()))
    else:
        from rich.console import Console

        Console().print(*as_tables(result), sep="\n")


def read_recipe(
    sizes: tuple[str, ...],
    format_: str,
    quality: int,
    strict: bool,
    timeout: float,
    max_pixels: int,
    force: bool,
) -> "tuple[Recipe, float, bool]":
    from image_pipeline.recipe import Box, Format, Recipe

    try:
        how = Recipe(
            sizes=tuple(Box.parse(size) for size in sizes),
            format=Format(format_),
            quality=quality,
            strict=strict,
            max_pixels=max_pixels,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return how, timeout, force


def find(
    src: Path,
    dst: Path | None,
    files_from: IO[bytes] | None,
    how: "Recipe",
    fold: "Folding",
) -> "Found":
    from image_pipeline.names import collisions
    from image_pipeline.walk import listed, may_be_image, walk

    found = listed(src, files_from.read()) if files_from else walk(src, dst)
    clashes = collisions(found.names, how, fold)
    if clashes:  # a text called `a` does not mind an image called `a.jpg`
        suspects = {name for clash in clashes for name in clash.sources}
        images = {name for name in suspects if may_be_image(src, name)}
        clashes = collisions(sorted(images), how, fold)
    if clashes:
        told = "\n".join(str(clash) for clash in clashes[:10])
        raise click.UsageError(
            f"{told}\nNothing was done: rename one of each pair."
        )
    return found


def check_gallery(dst: Path) -> None:
    from image_pipeline.gallery import PAGE, is_in_the_way

    if is_in_the_way(dst):
        raise click.UsageError(
            f"{dst / os.fsdecode(PAGE)} was not made by --gallery: move it "
            "away, or choose another target"
        )


def files_of(
    src: Path, found: "Found", how: "Recipe", timeout: float, force: bool
) -> "Files":
    from image_pipeline.files import Files

    return Files(os.fsencode(src), found.names, how, timeout, force)


def rehearse(
    src: Path,
    dst: Path,
    files_from: IO[bytes] | None,
    how: "Recipe",
    force: bool,
) -> NoReturn:
    from image_pipeline.names import Folding
    from image_pipeline.rehearsal import rehearse

    found = find(src, dst, files_from, how, Folding())
    files = files_of(src, found, how, 1.0, force)
    for line in rehearse(files, found, dst):
        click.echo(line)
    sys.exit(0)


def hire(transport: str, workers: int | None) -> "Crew":
    count = workers or len(os.sched_getaffinity(0))
    if transport == "inproc":
        from image_pipeline.threads import Threads

        return Threads(count)
    from image_pipeline.crew import Processes

    return Processes(count)


def on_cluster(
    store: "Store", scheduler: str
) -> "AbstractContextManager[Cluster]":
    try:
        from image_pipeline.cluster import cluster
    except ImportError:
        raise click.UsageError(
            "--scheduler needs Dask: pip install 'beyond-http[cluster]'"
        ) from None
    return cluster(store, scheduler)


@contextmanager
def zmq_context(
    keys: Path | None, role: str, binds: list[str], insecure: bool
) -> "Iterator[tuple[zmq.Context[zmq.Socket[bytes]], Keys | None]]":
    """Lend a context with a guard at its doors; errors become sentences."""
    import zmq

    from image_pipeline import curve, links

    try:
        loaded = curve.load(keys, role) if keys else None
        for endpoint in binds:
            links.check_exposure(endpoint, loaded, insecure)
        with zmq.Context() as context, curve.guard(context, loaded):
            yield context, loaded
    except (curve.BadKeys, links.Exposed) as error:
        raise click.UsageError(str(error)) from None
    except zmq.ZMQError as error:
        end(f"cannot use {' or '.join(binds)}: {error.strerror}", INCOMPLETE)


if __name__ == "__main__":
    main()
