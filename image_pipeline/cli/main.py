"""The command line of the image pipeline; `--help` lists the commands.

Imports here must be quick: `--help` needs nothing else, and `run` starts its
workers before it imports anything more.
"""

import os
import sys
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from image_pipeline.cli import roles
from image_pipeline.cli.engines import here, on_cluster, start_workers
from image_pipeline.cli.options import (
    FOLDER,
    TARGET,
    Command,
    Number,
    Options,
    fail,
    flag,
    listing,
    overwrite,
    recipe,
    say,
    show_version,
)
from image_pipeline.outcome import ExitCode, FileRecord

if TYPE_CHECKING:
    from image_pipeline.storage.store import Store


class _Group(click.Group):
    command_class = Command

    def main(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().main(*arguments, **options)
        except OSError as error:
            # Python must not try the failed write again when it ends.
            sys.stdout = None
            name = f"{error.filename}: " if error.filename else ""
            fail(f"cannot go on: {name}{error.strerror or error}")

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            sys.exit(ExitCode.INTERRUPTED)


@click.group(
    cls=_Group,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "IMAGE_PIPELINE",
        "show_default": True,
    },
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=show_version,
    help="Show the version and exit.",
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
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    os.close(descriptor)


@main.command()
@click.argument("src", type=FOLDER, envvar="IMAGE_PIPELINE_RUN_SRC")
@click.argument("dst", type=TARGET, envvar="IMAGE_PIPELINE_RUN_DST")
@click.option(
    "--workers",
    "-j",
    type=Number(1, 512),
    metavar="N",
    help="How many.  [default: one for each core]",
)
@click.option(
    "--transport",
    type=click.Choice(["tcp", "ipc", "inproc"]),
    default="ipc",
    help="ipc and tcp: worker processes; inproc: threads.",
)
@click.option(
    "--scheduler",
    metavar="ENDPOINT",
    help="Use the workers of this Dask scheduler instead.",
)
@recipe
@overwrite
@listing
@flag("--gallery", "Also write DST/index.html.")
@flag(
    "--prune", "Also remove our thumbnails of files that are gone from SRC."
)
@flag("--dry-run", "Only say what would be done.")
@click.option("--events", metavar="ENDPOINT", help="Publish news to it.")
def run(
    src: Path,
    dst: Path,
    workers: int | None,
    transport: str,
    scheduler: str | None,
    gallery: bool,
    prune: bool,
    dry_run: bool,
    events: str | None,
    overwrite: bool,
    report: Path | None,
    quiet: bool,
    **chosen: Any,
) -> None:
    """Make thumbnails of all images in SRC below DST.

    The same command again resumes: what is up to date is left alone. The
    processes that decode have 2 GiB of memory and, with landlock, no files.
    """
    from image_pipeline.cli.signals import ignore_signals, stop_on_signals

    stop = click.get_current_context().with_resource(stop_on_signals())

    from image_pipeline.storage.scan import check_folders

    asked = Options.read(src=src, dst=dst, **chosen)
    check_folders(src, dst)
    if gallery:
        from image_pipeline.cli.gallery import check_page

        check_page(dst)
    if dry_run:
        from image_pipeline.cli.dry_run import dry_run as would
        from image_pipeline.storage.names import Folding

        found, files = asked.find(Folding())
        for line in would(files, found, dst, overwrite, prune):
            click.echo(line)
        return
    # Worker processes load their decoders while we load the rest.
    supervisor = None if scheduler else start_workers(transport, workers)

    from image_pipeline.cli.display import show_batch
    from image_pipeline.storage.store import Store

    with (
        closing(supervisor) if supervisor else nullcontext(),
        Store(dst, overwrite) as store,
        here(store, supervisor, transport)
        if supervisor
        else on_cluster(store, scheduler or "") as deliver,
    ):
        found, files = asked.find(store.folding())
        sheet: list[FileRecord] | None = [] if gallery else None
        code = show_batch(
            deliver,
            files,
            found,
            stop,
            report=report,
            sheet=sheet,
            quiet=quiet,
            events=events or "",
        )
        if sheet is not None:
            from image_pipeline.cli.gallery import keep

            keep(store, src, sheet)
        if prune and not stop.is_set():
            _remove_orphans(store, src)
        ignore_signals()
    sys.exit(code)


def _remove_orphans(store: "Store", src: Path) -> None:
    """Remove our thumbnails of deleted files, and print how many."""
    from image_pipeline.storage.prune import orphans

    gone = list(orphans(store, src, store.target))
    removed = sum(map(store.remove, gone))
    click.echo(f"thumbnails of files that are gone: {removed} removed")


for role in (roles.ventilator, roles.worker, roles.sink):
    main.add_command(role)


@main.command()
@click.argument("folder", type=TARGET)
def keygen(folder: Path) -> None:
    """Write two certificates into FOLDER: a server's and a client's."""
    from image_pipeline.transport.curve import generate

    try:
        made = generate(folder)
    except OSError as error:
        raise click.UsageError(str(error)) from None
    for path in made:
        say(path)


@main.command()
def demo() -> None:
    """Watch a worker being killed, and no image lost (15 seconds)."""
    import shutil
    import tempfile

    from image_pipeline.cli.signals import stop_on_signals
    from image_pipeline.demo.scenario import run

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
        finally:
            # Only the results of a complete demo are kept.
            left = folder / "photographs" if well else folder
            shutil.rmtree(left, ignore_errors=True)
    if stop.is_set():
        sys.exit(ExitCode.INTERRUPTED)
    verdict = "every image was made" if well else "NOT every image was made"
    click.secho(verdict, bold=True, fg="green" if well else "red")
    sys.exit(0 if well else 1)
