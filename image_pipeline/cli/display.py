"""Shows a batch to a person: progress, failures, counts, exit code.

On a terminal: one bar, the rates, and a row for each worker, redrawn in
place. Into a pipe or a file: a plain line every few seconds.
"""

import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

from image_pipeline.cli.account import Account
from image_pipeline.cli.options import refusing, say
from image_pipeline.cli.report import Report
from image_pipeline.cli.signals import NOTICE, Stop
from image_pipeline.outcome import (
    ExitCode,
    FileRecord,
    Incomplete,
    Outcome,
    Status,
)
from image_pipeline.storage.names import shown
from image_pipeline.storage.scan import Found
from image_pipeline.storage.source import Files
from image_pipeline.transport.events import Events

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_UNSEEN_S = 1.0  # a batch that is faster needs no progress in a log
_LINE_EVERY_S = 5.0
_REDRAW_EVERY_S = 0.1
_WINDOW = 100  # redraws: rates are those of the last ten seconds

# `run.run`, with all bound but the files, `stop`, `record` and `watch`.
Deliver = Callable[..., None]


def show_batch(
    deliver: Deliver,
    files: Files,
    found: Found,
    stop: Stop,
    *,
    report: Path | None = None,
    sheet: list[FileRecord] | None = None,
    quiet: bool = False,
    events: str = "",
) -> ExitCode:
    """Deliver `files`, show the progress, and return the exit code.

    `found` also holds what ended while the files were being found. When
    `stop` is set what has begun is finished; KeyboardInterrupt, which a
    second Ctrl-C raises, stops it at once.
    """
    with ExitStack() as stack:
        account = Account(found.total, sheet=sheet)
        with refusing(f"publish events to {events}"):
            account.events = stack.enter_context(closing(Events(events)))
        if report:
            with refusing(f"write the report {report}"):
                account.report = stack.enter_context(closing(Report(report)))
        display = stack.enter_context(Display(account, quiet, stop))
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
    code = account.tally.exit_code(stop.is_set())
    if account.report and account.report.trouble:
        say(f"{report} is not complete: {account.report.trouble}", err=True)
        code = max(code, ExitCode.INCOMPLETE)
    return code


class Display(ExitStack):
    """Draws the progress; loads rich, which takes long, for a terminal."""

    def __init__(self, account: Account, quiet: bool, stop: Stop) -> None:
        super().__init__()  # holds the bar, once there is one
        self._account, self._quiet, self._stop = account, quiet, stop
        self._due = time.monotonic()
        self._seen_from = self._due + _UNSEEN_S
        self._line_due = self._due + _LINE_EVERY_S
        # When, how many images were worked on, and how many pixels they had.
        self._seen: deque[tuple[float, int, int]] = deque(maxlen=_WINDOW)
        self._said = {""}
        self._bar: Progress | None = None
        self._rows: dict[str | None, TaskID] = {}

    def show(self, status: Status, last: bool = False) -> None:
        """Draw if a redraw is due, or if it is the last one."""
        self._say(status.note)
        if self._bar and self._stop.is_set():
            self._say(NOTICE)
        now = time.monotonic()
        if self._quiet or (now < self._due and not last):
            return
        self._due = now + _REDRAW_EVERY_S
        counts = self._account.tally
        worked = counts[Outcome.MADE] + counts[Outcome.FAILED]
        self._seen.append((now, worked, self._account.pixels))
        if sys.stdout and sys.stdout.isatty():
            if not last or self._bar:
                self._draw(status)
        elif now >= self._line_due or (last and now >= self._seen_from):
            self._line_due = now + _LINE_EVERY_S
            say(", ".join(self._parts()))

    def _say(self, note: str) -> None:
        """Once; above the bar, if there is one on this screen."""
        if note in self._said:
            return
        self._said.add(note)
        if self._bar and sys.stderr.isatty():
            sys.stderr.write(f"{note}\n")  # which rich has replaced
        else:
            say(note, err=True)

    def _parts(self, failed: str = "{} failed") -> list[str]:
        """Return the progress of the batch, and its recent rate."""
        account, done = self._account, self._account.tally.total()
        parts = [f"{done}/{account.total}"]
        began, worked_before, pixels_before = self._seen[0]
        now, worked, pixels = self._seen[-1]
        seconds = now - began
        rate = (worked - worked_before) / seconds if seconds else 0.0
        if rate:
            megapixels = (pixels - pixels_before) / seconds / 1e6
            parts += [f"{rate:.0f} images/s", f"{megapixels:.0f} MP/s"]
        if count := account.tally[Outcome.FAILED]:
            parts.append(failed.format(count))
        if rate and done < account.total:
            parts.append(f"{_duration((account.total - done) / rate)} left")
        return parts

    def _draw(self, status: Status) -> None:
        from rich.markup import escape

        if not self._bar:
            self._bar = self.enter_context(_bar())
            # A signal that writes in between would tear it: `show` does.
            self._stop.announce = lambda: None
        text = ", ".join(self._parts("[bold red]{} failed[/]"))
        batch = self._account.tally.total(), text
        # Not under a name: a worker may have any, even an empty one.
        rows: dict[str | None, tuple[int, str]] = {None: batch}
        for name, (file, since) in sorted(status.workers.items()):
            busy = escape(shown(file)) or "[dim]idle[/]"
            if status.now - since >= 1:
                busy += f" for {status.now - since:.0f} s"
            done = self._account.done_by[name]
            rows[name] = done, f"{done} done, {busy}"
        for key in rows:
            if key not in self._rows:
                self._rows[key] = self._bar.add_task(
                    escape(key or ""), visible=False, said=""
                )
        for key, row in self._rows.items():
            done, text = rows.get(key, (0, ""))
            self._bar.update(
                row,
                total=self._account.total,
                completed=done,
                visible=bool(text),
                said=text,
            )
        self._bar.refresh()


def _bar() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[said]}"),
        console=Console(),
        auto_refresh=False,
        expand=True,
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
