"""Guards the user's files: what is never overwritten, what may be removed."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from image_pipeline.storage.store import Store

_BEGINNING = b'{"source": "'  # of a report, as `cli.report` writes it


def check_report(
    _context: click.Context, _option: click.Parameter, report: Path | None
) -> Path | None:
    """Refuse to overwrite a file that is not a report, whole or cut off."""
    # /dev/stdout is fine. Not `is_file`, which raises for a long name.
    if not report or not os.path.isfile(report):  # noqa: PTH113
        return report
    try:
        with report.open("rb") as file:
            head = file.read(len(_BEGINNING))
    except OSError as error:
        raise click.UsageError(
            f"cannot write the report {report}: {error.strerror}"
        ) from None
    if not _BEGINNING.startswith(head):
        raise click.UsageError(
            f"{report} is no report of an earlier run and would be lost: "
            "move it away, or choose another name"
        )
    return report


def check_gallery(dst: Path) -> None:
    from image_pipeline.cli.gallery import PAGE, is_in_the_way

    if is_in_the_way(dst):
        raise click.UsageError(
            f"{dst / os.fsdecode(PAGE)} was not made by --gallery: move it "
            "away, or choose another target"
        )


def remove_orphans(store: "Store", src: Path) -> None:
    """Remove our thumbnails of deleted files, and print how many."""
    from image_pipeline.storage.prune import orphans

    gone = list(orphans(store, src, store.target))
    removed = sum(map(store.remove, gone))
    click.echo(f"thumbnails of files that are gone: {removed} removed")
