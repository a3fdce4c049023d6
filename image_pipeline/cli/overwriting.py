"""What a batch must not write over, checked before any work."""

import os
from pathlib import Path

import click

_BEGINNING = b'{"source": "'  # of a report, as `cli.report` writes it


def check_report(report: Path | None) -> None:
    """Refuse a file that is no report; one that was cut off is one."""
    # /dev/stdout is fine. Not `is_file`, which raises for a long name.
    if not report or not os.path.isfile(report):  # noqa: PTH113
        return
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


def check_swapped(src: Path) -> None:
    """Refuse a SRC that is itself a target."""
    from image_pipeline.storage.scan import BadFolders, check_source

    try:
        check_source(src)
    except BadFolders as error:
        raise click.UsageError(str(error)) from None
