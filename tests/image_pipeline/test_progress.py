"""What a person sees while a batch runs: a display, or lines in a log."""

import io
from dataclasses import dataclass

import pytest
from rich.console import Console

from image_pipeline.cli import progress
from image_pipeline.cli.account import Account
from image_pipeline.cli.progress import Progress, Rates
from image_pipeline.outcome import Outcome, Status


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


@dataclass
class Worker:
    """What a display is to say of one worker."""

    name: str
    done: int
    file: bytes = b""
    seconds: float = 0.0


def at(
    done: int, *workers: Worker, failed: int = 0
) -> tuple[Account, Status]:
    """A batch of 400 images of 4 megapixels, in which so many are done."""
    account = Account(400, pixels=done * 4_000_000)
    account.tally[Outcome.MADE] = done - failed
    account.tally[Outcome.FAILED] = failed
    status = Status(400, now=100.0)
    for each in workers:
        account.done_by[each.name] = each.done
        status.workers[each.name] = each.file, 100.0 - each.seconds
    return account, status


def console(terminal: bool) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=terminal, width=80, height=24
    )


def said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_pipe_gets_a_plain_line_every_few_seconds(clock: Clock) -> None:
    pipe = console(terminal=False)
    with Progress(pipe) as display:
        for done in range(0, 401, 2):
            display.show(*at(done, failed=done // 200), last=done == 400)
            clock.now += 0.1
    lines = said(pipe).splitlines()
    assert len(lines) == 4
    assert lines[0] == "100/400, 20 images/s, 80 MP/s, 15 s left"
    assert lines[-1] == "400/400, 20 images/s, 80 MP/s, 2 failed"
    assert "\x1b" not in said(pipe)


def test_a_short_batch_says_how_it_ended_at_once(clock: Clock) -> None:
    pipe = console(terminal=False)
    with Progress(pipe) as display:
        display.show(*at(0))
        clock.now += 0.2
        display.show(*at(400), last=True)
    assert said(pipe).splitlines() == ["400/400, 2000 images/s, 8000 MP/s"]


def test_a_terminal_shows_a_row_for_each_worker(clock: Clock) -> None:
    screen = console(terminal=True)
    with Progress(screen) as display:
        display.show(*at(0))
        clock.now += 1
        display.show(
            *at(
                100,
                Worker("worker-1", 60, b"a.jpg"),
                Worker("worker-2", 40, b"slow.png", 12.3),
                Worker("worker-3", 0),
            )
        )
    text = said(screen)
    assert "100/400, 100 images/s, 400 MP/s, 3 s left" in text
    assert "60 done" in text
    assert "slow.png for 12 s" in text
    assert "idle" in text


def test_a_terminal_is_redrawn_at_a_rate_that_eyes_can_follow(
    clock: Clock,
) -> None:
    screen = console(terminal=True)
    with Progress(screen) as display:
        for done in range(400):
            display.show(*at(done))
            clock.now += 0.001
    assert said(screen).count("/400") <= 6


def test_names_are_shown_without_orders_or_markup(clock: Clock) -> None:
    screen = console(terminal=True)
    with Progress(screen) as display:
        clock.now += 1
        display.show(*at(1, Worker("w", 1, b"[red]\x1b[2J\n\xff.jpg")))
    assert r"[red]\x1b[2J\n\xff.jpg" in said(screen)


def test_the_rate_is_that_of_the_last_seconds() -> None:
    rates = Rates()
    rates.add(0.0, 0, 0)
    rates.add(1.0, 1000, 0)  # a burst, long ago
    for second in range(2, 31):
        rates.add(float(second), 1000 + 5 * second, 5_000_000 * second)
    assert rates.images == pytest.approx(5)
    assert rates.megapixels == pytest.approx(5)


def test_without_any_time_passed_there_is_no_rate() -> None:
    rates = Rates()
    assert rates.images == 0
    rates.add(5.0, 10, 10)
    rates.add(5.0, 20, 20)
    assert rates.images == 0
