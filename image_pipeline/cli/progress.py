"""Telling a person how far the batch is.

On a terminal: one bar, the rates, and a row for each worker, redrawn in
place. Into a pipe or a file: a plain line every few seconds, which a log
can hold. Either way it only draws what it is given.
"""

import time
from collections import deque
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from image_pipeline.cli.account import Account
from image_pipeline.outcome import Outcome, Status
from image_pipeline.storage.names import shown

_WINDOW_S = 10.0  # rates are those of the last seconds, not of the resume
_LINE_EVERY_S = 5.0
_REDRAW_EVERY_S = 0.1


class Rates:
    """Images and megapixels a second, over the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int, int]] = deque()

    def add(self, now: float, worked: int, pixels: int) -> None:
        """`now` is in seconds of a clock that never steps back."""
        self._seen.append((now, worked, pixels))
        while len(self._seen) > 2 and now - self._seen[1][0] >= _WINDOW_S:
            self._seen.popleft()

    @property
    def images(self) -> float:
        return self._slope(1)

    @property
    def megapixels(self) -> float:
        return self._slope(2) / 1e6

    def _slope(self, column: int) -> float:
        if len(self._seen) < 2:
            return 0.0
        first, last = self._seen[0], self._seen[-1]
        seconds = last[0] - first[0]
        return (last[column] - first[column]) / seconds if seconds else 0.0


class Progress:
    """Draws a batch on `console`. Use `with`; it restores the terminal.

    `show` may be called as often as one likes: it draws only when something
    is due.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rates = Rates()
        self._due = 0.0
        self._live: Live | None = None
        if console.is_terminal:
            self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live:
            self._live.stop()

    def show(
        self, account: Account, status: Status, last: bool = False
    ) -> None:
        """Draw if it is time to, or if it is the last time."""
        now = time.monotonic()
        if now < self._due and not last:
            return
        worked = account.tally[Outcome.MADE] + account.tally[Outcome.FAILED]
        self._rates.add(now, worked, account.pixels)
        line = summary(account, self._rates)
        if self._live:
            self._due = now + _REDRAW_EVERY_S
            self._live.update(_screen(line, account, status), refresh=True)
            return
        first = self._due == 0.0
        self._due = now + _LINE_EVERY_S
        if not first or last:
            self._console.print(line, soft_wrap=True)


def summary(account: Account, rates: Rates) -> Text:
    """Say all of it in one line of text."""
    done, failed = account.tally.total(), account.tally[Outcome.FAILED]
    parts = [f"{done}/{account.total}"]
    if rates.images:
        parts.append(f"{rates.images:.0f} images/s")
        parts.append(f"{rates.megapixels:.0f} MP/s")
    text = Text(", ".join(parts))
    if failed:
        text.append(f", {failed} failed", style="bold red")
    if done < account.total and rates.images:
        left = (account.total - done) / rates.images
        text.append(f", {_duration(left)} left")
    return text


def _screen(line: Text, account: Account, status: Status) -> Group:
    head = Table.grid(padding=(0, 1), expand=True)
    head.add_column(ratio=1)
    head.add_column(no_wrap=True)
    total = max(1, account.total)
    head.add_row(ProgressBar(total, account.tally.total()), line)
    rows = Table.grid(padding=(0, 2))
    rows.add_column(no_wrap=True)
    rows.add_column(justify="right", no_wrap=True)
    rows.add_column(no_wrap=True, overflow="ellipsis")
    for worker, (file, since) in sorted(status.workers.items()):
        busy = shown(file) or "idle"
        if status.now - since >= 1:
            busy += f" for {status.now - since:.0f} s"
        rows.add_row(
            Text(worker),
            f"{account.done_by[worker]} done",
            Text(busy, style="" if file else "dim"),
        )
    return Group(head, rows)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
