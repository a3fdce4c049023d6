"""Command line of the image pipeline; `--help` says what there is.

What is imported here must be quick: `--help` needs nothing else, and `run`
starts its workers before it loads anything more.
"""

import os
import sys
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

import click

from image_pipeline.cli import roles
from image_pipeline.cli.options import (
    FOLDER,
    INCOMPLETE,
    INTERRUPTED,
    end,
    files_of,
    find,
    listing,
    read_recipe,
    recipe,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from image_pipeline.cluster import Cluster
    from image_pipeline.imaging.recipe import Recipe
    from image_pipeline.run import Crew
    from image_pipeline.storage.store import Store


class _Group(click.Group):
    def main(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().main(*arguments, **options)
        except OSError as error:
            # What could not be written is not to be tried again at the end.
            sys.stdout = None
            name = f"{error.filename}: " if error.filename else ""
            end(f"cannot go on: {name}{error.strerror or error}", INCOMPLETE)

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)


@click.group(
    cls=_Group,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "IMAGE_PIPELINE",
    },
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
    # Where these are closed (`>&-`), a socket must not take their numbers.
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


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
    from image_pipeline.cli.signals import ignore_signals, stop_on_signals

    stop = click.get_current_context().with_resource(stop_on_signals())

    from image_pipeline.storage.scan import BadFolders, check_folders

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

    from image_pipeline.cli.display import show_batch
    from image_pipeline.cli.gallery import PAGE
    from image_pipeline.run import Transport, pipeline
    from image_pipeline.status import Incomplete
    from image_pipeline.storage.store import CannotKeep, Store, TargetError
    from image_pipeline.transport.sockets import Unusable

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
                stop,
                report=report,
                keep_sheet=partial(store.write, PAGE) if gallery else None,
                quiet=quiet,
            )
            ignore_signals()
    except (TargetError, Incomplete, Unusable) as error:
        end(error, INCOMPLETE)
    except CannotKeep as error:
        end(f"no gallery in {dst}: {error}", INCOMPLETE)
    sys.exit(code)


for role in (roles.ventilator, roles.worker, roles.sink, roles.keygen):
    main.add_command(role)


@main.command()
def demo() -> None:
    """Watch a worker being killed, and no image lost (about 15 seconds)."""
    import shutil
    import tempfile

    from image_pipeline.cli.signals import stop_on_signals
    from image_pipeline.demo.scenario import run
    from image_pipeline.storage.store import TargetError

    folder = Path(tempfile.mkdtemp(prefix="thumbnails-"))
    well = False
    with stop_on_signals() as stop:
        try:
            well = run(
                folder,
                stop,
                lambda text: click.secho(text, bold=True, fg="cyan"),
                lambda text: click.echo(f"   {text}"),
            )
        except TargetError as error:
            end(error, INCOMPLETE)
        finally:
            # Only what it has made in full is for anybody to look at.
            left = folder / "photographs" if well else folder
            shutil.rmtree(left, ignore_errors=True)
    if stop.is_set():
        sys.exit(INTERRUPTED)
    verdict = "every image was made" if well else "NOT every image was made"
    click.secho(verdict, bold=True, fg="green" if well else "red")
    sys.exit(0 if well else 1)


def check_gallery(dst: Path) -> None:
    from image_pipeline.cli.gallery import PAGE, is_in_the_way

    if is_in_the_way(dst):
        raise click.UsageError(
            f"{dst / os.fsdecode(PAGE)} was not made by --gallery: move it "
            "away, or choose another target"
        )


def rehearse(
    src: Path,
    dst: Path,
    files_from: IO[bytes] | None,
    how: "Recipe",
    force: bool,
) -> NoReturn:
    from image_pipeline.cli.dry_run import rehearse
    from image_pipeline.storage.names import Folding

    found = find(src, dst, files_from, how, Folding())
    files = files_of(src, found, how, 1.0, force)
    for line in rehearse(files, found, dst):
        click.echo(line)
    sys.exit(0)


def hire(transport: str, workers: int | None) -> "Crew":
    from image_pipeline.supervision.processes import CrewError, Processes

    count = workers or len(os.sched_getaffinity(0))
    try:
        if transport == "inproc":
            from image_pipeline.supervision.threads import Threads

            return Threads(count)
        return Processes(count)
    except CrewError as error:
        end(error, INCOMPLETE)


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
