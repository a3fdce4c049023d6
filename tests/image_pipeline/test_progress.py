"""What a person sees while a batch runs: a display, or lines in a log."""

import io
from contextlib import redirect_stdout
from dataclasses import dataclass, field

import pytest

from image_pipeline.cli import display
from image_pipeline.cli.account import Account
from image_pipeline.cli.display import Display
from image_pipeline.cli.signals import Stop
from image_pipeline.outcome import Outcome, Status


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(display, "time", clock)
    return clock


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    return Screen()


@dataclass
class Worker:
    """What a display is to say of one worker."""

    name: str
    done: int
    file: bytes = b""
    seconds: float = 0.0


@dataclass
class Batch:
    """400 images of 4 megapixels, and what there is to see of them."""

    account: Account = field(default_factory=lambda: Account(400))

    def at(self, done: int, *workers: Worker, failed: int = 0) -> Status:
        self.account.pixels = done * 4_000_000
        self.account.tally[Outcome.MADE] = done - failed
        self.account.tally[Outcome.FAILED] = failed
        status = Status(400, now=100.0)
        for each in workers:
            self.account.done_by[each.name] = each.done
            status.workers[each.name] = each.file, 100.0 - each.seconds
        return status

    def display(self) -> Display:
        return Display(self.account, False, Stop())


def test_a_pipe_gets_a_plain_line_every_few_seconds(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    batch = Batch()
    with batch.display() as shown:
        for done in range(0, 401, 2):
            shown.show(batch.at(done, failed=done // 200), done == 400)
            clock.now += 0.1
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert len(lines) == 4
    assert lines[0] == "100/400, 20 images/s, 80 MP/s, 15 s left"
    assert lines[-1] == "400/400, 20 images/s, 80 MP/s, 2 failed"
    assert "\x1b" not in out


def test_a_pipe_gets_nothing_of_a_batch_that_is_done_at_once(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    batch = Batch()
    with batch.display() as shown:
        shown.show(batch.at(0))
        clock.now += 0.2
        shown.show(batch.at(400), last=True)
    assert not capsys.readouterr().out


def test_a_terminal_shows_a_row_for_each_worker(
    clock: Clock, screen: Screen
) -> None:
    batch = Batch()
    workers = (
        Worker("worker-1", 60, b"a.jpg"),
        Worker("worker-2", 40, b"slow.png", 12.3),
        Worker("worker-3", 0),
    )
    with redirect_stdout(screen), batch.display() as shown:
        shown.show(batch.at(0))
        clock.now += 1
        shown.show(batch.at(100, *workers))
    text = screen.getvalue()
    assert "100/400, 100 images/s, 400 MP/s, 3 s left" in text
    assert "60 done" in text
    assert "slow.png for 12 s" in text
    assert "idle" in text


def test_a_worker_without_a_name_does_not_hide_the_batch(
    clock: Clock, screen: Screen
) -> None:
    """The trap: the row of the whole batch has no name either."""
    batch = Batch()
    with redirect_stdout(screen), batch.display() as shown:
        shown.show(batch.at(0))
        clock.now += 1
        shown.show(batch.at(100, Worker("", 1, b"a.jpg"), failed=2))
    assert "2 failed" in screen.getvalue()


def test_a_terminal_is_redrawn_at_a_rate_that_eyes_can_follow(
    clock: Clock, screen: Screen
) -> None:
    batch = Batch()
    with redirect_stdout(screen), batch.display() as shown:
        for done in range(400):
            shown.show(batch.at(done))
            clock.now += 0.001
    assert 2 <= screen.getvalue().count("/400") <= 6


def test_names_are_shown_without_orders_or_markup(
    clock: Clock, screen: Screen
) -> None:
    batch = Batch()
    worker = Worker("w", 1, b"[red]\x1b[2J\n\xff.jpg")
    with redirect_stdout(screen), batch.display() as shown:
        clock.now += 1
        shown.show(batch.at(1, worker))
    assert r"[red]\x1b[2J\n\xff.jpg" in screen.getvalue()


def test_the_rate_is_that_of_the_last_seconds(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    batch = Batch(Account(2000))
    with batch.display() as shown:
        shown.show(batch.at(0))
        for tenth in range(300):  # a burst, long ago
            clock.now += 0.1
            shown.show(batch.at(1000 + tenth // 2))
    *_, line = capsys.readouterr().out.splitlines()
    assert ", 5 images/s, 20 MP/s, " in line
