"""The ledger in virtual time: whatever happens, no file is lost.

The state machine plays a world of workers that finish, crash, hang and
answer twice, and of messages that get lost. The examples after it show the
rules one at a time.
"""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from image_pipeline.delivery.ledger import (
    ANSWER_S,
    MAX_UNANSWERED,
    WINDOW_BYTES,
    WINDOW_FILES,
    Failure,
    Ledger,
)

TIMEOUT_S = 60.0
MEGABYTE = 2**20


class LedgerMachine(RuleBasedStateMachine):
    """Every file is closed once, and the world cannot prevent it."""

    sent: Bundle[int] = Bundle("sent")

    @initialize(
        files=st.integers(0, 40),
        workers=st.integers(0, 3),
    )
    def begin(self, files: int, workers: int) -> None:
        self.now = 0.0
        self.files = files
        self.ledger = Ledger(files, TIMEOUT_S, workers)
        self.planned: list[int] = []
        self.closed: set[int] = set()

    def close(self, number: int) -> None:
        if self.ledger.close(number, self.now):
            assert number not in self.closed, "closed twice"
            self.closed.add(number)

    def fail(self, failures: list[Failure]) -> None:
        for failure in failures:
            assert failure.number not in self.closed, "failed when closed"
            self.closed.add(failure.number)

    @rule(most=st.integers(1, 20))
    def plan(self, most: int) -> None:
        self.planned += self.ledger.announce(most, self.now)

    @rule(current=st.booleans())
    def the_sink_answers(self, current: bool) -> None:
        for number in self.planned:
            if current and number % 3 == 0:
                self.close(number)
            else:
                self.ledger.wanted(number)
        self.planned.clear()

    @rule()
    def the_sink_is_replaced(self) -> None:
        self.planned.clear()
        self.ledger.sink_replaced()

    @rule(
        target=sent,
        size=st.integers(1, 40 * MEGABYTE),
        together=st.integers(1, 3),
    )
    def send(self, size: int, together: int) -> Any:
        numbers: list[int] = []
        while len(numbers) < together:
            number = self.ledger.take(len(numbers))
            if number is None:
                break
            assert number not in self.closed, "sent, though it was closed"
            numbers.append(number)
        for number in numbers:
            self.ledger.sent(number, size, self.now)
        return multiple(*numbers)

    @rule(number=sent, worker=st.sampled_from("ABC"))
    def start(self, number: int, worker: str) -> None:
        self.ledger.started(number, worker, self.now)

    @rule(number=consumes(sent))
    def finish(self, number: int) -> None:
        self.close(number)

    @rule(number=sent)
    def finish_and_stay_for_a_second_answer(self, number: int) -> None:
        self.close(number)

    @rule(worker=st.sampled_from("ABC"))
    def lose(self, worker: str) -> None:
        self.ledger.worker_gone(worker)

    @rule()
    def lose_somebody(self) -> None:
        self.ledger.somebody_gone(self.now)

    @rule(number=sent, worker=st.sampled_from("ABC"))
    def crash(self, number: int, worker: str) -> None:
        self.ledger.worker_gone(worker)
        failures = self.ledger.crashed(number, "signal 11", self.now)
        assert {each.number for each in failures} <= {number}, "blamed"
        self.fail(failures)

    @rule(seconds=st.floats(0, 100))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.fail(self.ledger.expire(self.now))

    @invariant()
    def each_file_is_closed_or_unfinished_and_never_both(self) -> None:
        unfinished = set(self.ledger.unfinished())
        assert unfinished.isdisjoint(self.closed)
        assert unfinished | self.closed == set(range(1, self.files + 1))
        assert self.ledger.done == (len(self.closed) == self.files)

    @invariant()
    def what_is_in_flight_is_bounded(self) -> None:
        room = WINDOW_FILES * max(1, self.ledger.workers)
        assert self.ledger.in_flight <= room
        assert self.ledger.bytes_in_flight <= WINDOW_BYTES + 3 * 40 * MEGABYTE

    def teardown(self) -> None:
        """From wherever the world has got to, a good world finishes."""
        if not hasattr(self, "ledger"):
            return
        for _ in range(50 * MAX_UNANSWERED):
            if self.ledger.done:
                return
            self.now += ANSWER_S + 1
            self.fail(self.ledger.expire(self.now))
            self.plan(1000)
            self.the_sink_answers(False)
            while number := self.ledger.take():
                self.ledger.sent(number, 1, self.now)
                self.close(number)
        raise AssertionError(f"never done: {[*self.ledger.unfinished()]}")


LedgerMachine.TestCase.settings = settings(
    max_examples=100, stateful_step_count=50, deadline=None
)
TestLedgerMachine: Any = LedgerMachine.TestCase


def test_a_file_is_not_blamed_for_the_queues_it_was_lost_in() -> None:
    ledger = Ledger(files=1, timeout=TIMEOUT_S)
    assert ledger.announce(1, now=0) == [1]
    ledger.wanted(1)
    for moment in range(5 * MAX_UNANSWERED):  # each time a worker is killed
        assert ledger.take() == 1
        ledger.sent(1, MEGABYTE, moment)
        ledger.somebody_gone(moment)
    now = float(moment)
    for _ in range(MAX_UNANSWERED - 1):  # then the file itself is slow
        assert ledger.take() == 1
        ledger.sent(1, MEGABYTE, now)
        now += TIMEOUT_S
        assert ledger.expire(now) == []
    assert ledger.take() == 1
    ledger.sent(1, MEGABYTE, now)
    [failure] = ledger.expire(now + TIMEOUT_S)
    assert failure.reason.endswith("times, and never answered")
