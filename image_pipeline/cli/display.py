"""What a person sees of a batch: progress, failures, counts, exit code."""

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Self

import click

from image_pipeline.cli.account import Account
from image_pipeline.cli.options import say
from image_pipeline.cli.report import Report
from image_pipeline.cli.signals import NOTICE, Stop
from image_pipeline.outcome import ExitCode, FileRecord, Incomplete, Status
from image_pipeline.storage.scan import Found
from image_pipeline.storage.source import Files
from image_pipeline.transport.events import Events

if TYPE_CHECKING:
    from image_pipeline.cli.progress import Progress

UNSEEN_S = 1.0  # a batch that is faster needs no progress in a log


# `run.run`, with all bound but the files, `stop`, `record` and `watch`.
Deliver = Callable[..., None]


def show_batch(
    deliver: Deliver,
    files: Files,
    found: Found,
    stop: Stop,
    *,
    report: Path | None = None,
    keep_sheet: Callable[[list[FileRecord]], None] | None = None,
    quiet: bool = False,
    events: str = "",
) -> ExitCode:
    """Deliver `files` before the eyes of a person; return how it went.

    `found` also holds what ended while the files were being found. When
    `stop` is set what has begun is finished; KeyboardInterrupt, which a
    second Ctrl-C raises, stops it at once.
    """
    with ExitStack() as stack:
        account = Account(found.total)
        account.events = stack.enter_context(closing(_events(events)))
        if report:
            account.report = stack.enter_context(closing(_opened(report)))
        if keep_sheet:
            account.sheet = []
        display = stack.enter_context(_Display(account, quiet, stop))
        for ended in found.ended:
            account.record(ended)

        trouble = ""
        try:
            deliver(
                files, stop=stop, record=account.record, watch=display.show
            )
        except Incomplete as error:
            trouble = str(error)
        except KeyboardInterrupt:
            stop.set()
            account.cut_off()
        display.show(Status(0), last=True)
    for line in account.failures():
        say(line, err=True)
    if trouble:
        say(f"stopped: {trouble}", err=True)
    say(account.summary())
    if keep_sheet and account.sheet is not None:
        keep_sheet(account.sheet)
    code = account.tally.exit_code(stop.is_set())
    if account.report and account.report.trouble:
        say(f"{report} is not complete: {account.report.trouble}", err=True)
        code = max(code, ExitCode.INCOMPLETE)
    return code


def _events(endpoint: str) -> Events:
    try:
        return Events(endpoint)
    except OSError as error:
        raise click.UsageError(
            f"cannot publish events to {endpoint}: {error.strerror}"
        ) from None


def _opened(report: Path) -> Report:
    try:
        return Report(report)
    except OSError as error:
        raise click.UsageError(
            f"cannot write the report {report}: {error.strerror}"
        ) from None


class _Display:
    """Draws the progress; loads rich, which takes long, when it has to."""

    def __init__(self, account: Account, quiet: bool, stop: Stop) -> None:
        self._account, self._quiet, self._stop = account, quiet, stop
        self._due = account.began
        if not (sys.stdout and sys.stdout.isatty()):
            self._due += UNSEEN_S
        self._progress: Progress | None = None
        self._said = {""}
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._opened.close()

    def _say(self, note: str) -> None:
        """Once; above the bar, if there is one on this screen."""
        if note in self._said:
            return
        self._said.add(note)
        if self._stop.announce is _by_display and sys.stderr.isatty():
            sys.stderr.write(f"{note}\n")  # which rich has replaced
        else:
            say(note, err=True)

    def show(self, status: Status, last: bool = False) -> None:
        self._say(status.note)
        if self._stop.is_set() and self._stop.announce is _by_display:
            self._say(NOTICE)
        now = time.monotonic()
        if self._quiet or (not self._progress and (last or now < self._due)):
            return
        if not self._progress:
            from rich.console import Console

            from image_pipeline.cli.progress import Progress

            console = Console()
            self._progress = self._opened.enter_context(Progress(console))
            if console.is_terminal:  # a signal in between would tear it
                self._stop.announce = _by_display
        try:
            self._progress.show(self._account, status, last)
        except (OSError, SystemExit):  # rich exits when its pipe is gone
            self._quiet = True


def _by_display() -> None:
    """At the next `show`, as only the display knows where its bar is."""
