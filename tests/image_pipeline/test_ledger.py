"""The ledger in virtual time: whatever happens, no file is lost.

The state machine plays a world of workers that finish, crash, hang and
answer twice, and of messages that get lost. The examples after it show the
rules one at a time.
"""

from itertools import pairwise
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

from image_pipeline.ledger import (
    ANSWER_S,
    DEADLY,
    FLYING_BYTES,
    FLYING_PER_WORKER,
    QUICK_READS,
    SENDS,
    TIMEOUT_GRACE_S,
    Failure,
    Ledger,
)
from image_pipeline.roll import Departure

TIMEOUT_S = 60.0
MEGABYTE = 2**20


class LedgerMachine(RuleBasedStateMachine):
    """Every file is closed once, and the world cannot prevent it."""

    sent: Bundle[int] = Bundle("sent")

    @initialize(
        files=st.integers(0, 40),
        workers=st.integers(0, 3),
        backups=st.booleans(),
    )
    def begin(self, files: int, workers: int, backups: bool) -> None:
        self.now = 0.0
        self.files = files
        self.ledger = Ledger(files, TIMEOUT_S, workers, backups)
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
        self.planned += self.ledger.plan(most, self.now)

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
        self.ledger.sink_lost()

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
            alone = len(numbers) == 1
            self.ledger.sent(number, size, self.now, alone)
        return multiple(*numbers)

    @rule()
    def a_file_has_changed_before_it_was_sent(self) -> None:
        if number := self.ledger.take():
            self.ledger.changed(number, self.now)

    @rule(number=sent, worker=st.sampled_from("ABC"))
    def start(self, number: int, worker: str) -> None:
        self.ledger.started(number, worker, self.now)

    @rule(number=consumes(sent))
    def finish(self, number: int) -> None:
        self.close(number)

    @rule(number=sent)
    def finish_and_stay_for_a_second_answer(self, number: int) -> None:
        self.close(number)

    @rule(
        worker=st.sampled_from(["", "A", "B", "C"]),
        cause=st.sampled_from(["", "signal 9"]),
        timed_out=st.booleans(),
    )
    def lose(self, worker: str, cause: str, timed_out: bool) -> None:
        gone = Departure(worker, cause, timed_out)
        self.fail(self.ledger.lost(gone, self.now))

    @rule(number=sent, worker=st.sampled_from("ABC"), timed_out=st.booleans())
    def lose_at(self, number: int, worker: str, timed_out: bool) -> None:
        """Its supervisor knows at which image it was, also an old one."""
        gone = Departure(worker, "signal 11", timed_out)
        flying = self.ledger.flying
        failures = self.ledger.lost(gone, self.now, number)
        assert flying >= self.ledger.flying
        assert {each.number for each in failures} <= {number}, "blamed"
        self.fail(failures)

    @rule(seconds=st.floats(0, 100))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.fail(self.ledger.overdue(self.now))

    @invariant()
    def each_file_is_closed_or_unfinished_and_never_both(self) -> None:
        unfinished = set(self.ledger.unfinished())
        assert unfinished.isdisjoint(self.closed)
        assert unfinished | self.closed == set(range(1, self.files + 1))
        assert self.ledger.done == (len(self.closed) == self.files)

    @invariant()
    def what_is_in_flight_is_bounded(self) -> None:
        room = FLYING_PER_WORKER * max(1, self.ledger.workers)
        assert self.ledger.flying <= room
        assert self.ledger.flying_bytes <= FLYING_BYTES + 3 * 40 * MEGABYTE

    def teardown(self) -> None:
        """From wherever the world has got to, a good world finishes."""
        if not hasattr(self, "ledger"):
            return
        for _ in range(50 * SENDS):
            if self.ledger.done:
                return
            self.now += ANSWER_S + 1
            self.fail(self.ledger.overdue(self.now))
            self.plan(1000)
            self.the_sink_answers(False)
            while number := self.ledger.take():
                self.ledger.sent(number, 1, self.now)
                self.close(number)
        raise AssertionError(f"never done: {[*self.ledger.unfinished()]}")


LedgerMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=50, deadline=None
)
TestLedgerMachine: Any = LedgerMachine.TestCase


def flying(count: int, workers: int = 4) -> Ledger:
    """A ledger whose `count` files have all been sent, at time 0."""
    ledger = Ledger(count, TIMEOUT_S, workers)
    for number in ledger.plan(count, 0):
        ledger.wanted(number)
    resend(ledger, 0)
    return ledger


def resend(ledger: Ledger, now: float) -> list[int]:
    sent = []
    while number := ledger.take():
        ledger.sent(number, 1, now)
        sent.append(number)
    return sent


def test_what_a_dead_worker_had_not_started_is_sent_again_too() -> None:
    ledger = flying(3)
    ledger.started(1, "A", 0)
    ledger.started(2, "B", 0)

    ledger.lost(Departure("A", "signal 9"), 1)

    assert resend(ledger, 1) == [1, 3]  # 2 is safe with B


def test_the_third_death_fails_a_file_and_names_the_signal() -> None:
    ledger = flying(1)
    for death in range(DEADLY):
        assert not ledger.done
        ledger.started(1, f"worker {death}", death)
        gone = Departure(f"worker {death}", "signal 11")
        failures = ledger.lost(gone, death)
        resend(ledger, death)

    (failure,) = failures
    assert failure.reason == "killed its worker 3 times: signal 11"
    assert ledger.done


def test_after_a_death_each_file_of_the_message_travels_by_itself() -> None:
    ledger = Ledger(3, TIMEOUT_S)
    for number in ledger.plan(3, 0):
        ledger.wanted(number)
    assert [ledger.take(company) for company in range(3)] == [1, 2, 3]
    for number in (1, 2, 3):
        ledger.sent(number, 1, 0, alone=False)
        ledger.started(number, "A", 0)

    ledger.lost(Departure("A", "signal 11"), 1)

    assert ledger.take() == 1
    assert ledger.together(1) == 1
    assert ledger.take(company=1) is None


def test_the_fewer_files_are_left_the_fewer_travel_together() -> None:
    ledger = Ledger(1000, TIMEOUT_S, workers=2)
    shares = []
    while not ledger.done:
        for number in ledger.plan(1000, 0):
            ledger.wanted(number)
        first = ledger.take()
        assert first
        shares.append(ledger.together(first))
        ledger.close(first, 0)
        for _ in range(shares[-1] - 1):
            if company := ledger.take():
                ledger.close(company, 0)

    assert shares == sorted(shares, reverse=True)
    assert shares[0] == 125
    assert shares[-1] == 1


def test_a_file_is_not_blamed_for_deaths_beside_it() -> None:
    """The slow one is at work with A while others kill B, three times."""
    ledger = flying(2)
    ledger.started(1, "A", 0)
    for death in range(DEADLY):
        ledger.started(2, f"B{death}", death)
        ledger.lost(Departure(f"B{death}", "signal 9"), death)
        resend(ledger, death)

    assert list(ledger.unfinished()) == [1]
    assert ledger.close(1, 9)


def test_the_third_death_that_is_known_fails_a_file_in_any_company() -> None:
    """Its supervisor knows what each was at, so nothing else is blamed."""
    ledger = flying(20)
    for death in range(DEADLY):
        gone = Departure("A", f"signal {death}")
        failures = ledger.lost(gone, death, at=7)
        sent = ledger.take(), ledger.take(company=1)
        assert None not in sent, "they still travel together"
        for number in (*sent, *range(1, 21)):
            ledger.sent(number or 0, 1, death, alone=False)

    assert failures == [
        Failure(7, "killed its worker 3 times: signal 2", "", DEADLY)
    ]
    assert list(ledger.unfinished()) == [*range(1, 7), *range(8, 21)]


def test_a_death_at_a_file_that_was_closed_before_blames_nobody() -> None:
    ledger = flying(3)
    ledger.close(2, 0)
    for death in range(2 * DEADLY):
        assert not ledger.lost(Departure("A", "signal 9"), death, at=2)
        assert resend(ledger, death) == [1, 3]


def test_nobody_is_blamed_when_nobody_knows_whose_connection_it_was() -> None:
    """After two such losses the suspects go last, and each goes alone."""
    ledger = flying(3)
    for moment in range(2):
        ledger.lost(Departure("", "its connection was lost"), moment)
        sent = resend(ledger, moment)

    assert sent == [1]
    assert ledger.close(1, 2)
    assert resend(ledger, 2) == [2]
    for moment in (3, 4):  # alone in flight: its third death is its own
        failures = ledger.lost(
            Departure("", "its connection was lost"), moment
        )
        resend(ledger, moment)
    assert [failure.number for failure in failures] == [3]


def test_a_worker_that_leaves_in_good_order_blames_no_file() -> None:
    ledger = flying(1)
    for moment in range(2 * DEADLY):
        ledger.lost(Departure("A"), moment)
        assert resend(ledger, moment) == [1]


def test_an_image_that_outlived_its_timer_is_not_tried_again() -> None:
    ledger = flying(1)
    ledger.started(1, "A", 0)

    (failure,) = ledger.lost(Departure("A", "signal 14", True), TIMEOUT_S)

    assert failure.reason == "took longer than 60 s"


def test_a_thread_that_hangs_costs_its_image_only() -> None:
    ledger = flying(1)
    for moment in range(round(TIMEOUT_S + TIMEOUT_GRACE_S)):
        ledger.started(1, "thread 1", 0)
        assert not ledger.overdue(0)
        resend(ledger, moment)

    (failure,) = ledger.overdue(TIMEOUT_S + TIMEOUT_GRACE_S + 1)

    assert failure.reason == "took longer than 60 s"


def test_no_second_thread_is_sent_to_where_one_hangs() -> None:
    ledger = Ledger(1, TIMEOUT_S, backups=False)
    ledger.plan(1, 0)
    ledger.wanted(1)
    resend(ledger, 0)
    ledger.overdue(10)
    assert resend(ledger, 10) == [1], "nobody has started it yet"

    ledger.started(1, "thread 1", 11)
    for second in range(11, round(TIMEOUT_S)):
        assert not ledger.overdue(second)
        assert not resend(ledger, second)
    (failure,) = ledger.lost(Departure("thread 1", "hangs", True), 72, at=1)

    assert failure.reason == "took longer than 60 s"


def test_what_a_thread_never_came_to_is_sent_again_in_the_end() -> None:
    ledger = Ledger(2, TIMEOUT_S, backups=False)
    for number in ledger.plan(2, 0):
        ledger.wanted(number)
    for taken in (ledger.take(), ledger.take(company=1)):
        assert taken
        ledger.sent(taken, 1, 0, alone=False)
        ledger.started(taken, "thread 1", 0)
    late = TIMEOUT_S + TIMEOUT_GRACE_S + 1

    assert not ledger.overdue(late)
    assert resend(ledger, late) == [1, 2]


def test_an_overdue_file_goes_to_whoever_is_free_less_and_less_often() -> (
    None
):
    ledger = flying(1)
    sent_at = [0]
    for second in range(200):
        ledger.overdue(second)
        if resend(ledger, second):
            sent_at.append(second)

    waits = [b - a for a, b in pairwise(sent_at)]
    assert waits == sorted(waits)
    assert 4 <= len(waits) <= SENDS


def test_somebody_who_takes_tasks_and_never_answers_cannot_hold_a_file() -> (
    None
):
    ledger = flying(1)
    failures: list[Failure] = []
    for second in range(4_000):
        failures += ledger.overdue(second)
        resend(ledger, second)

    assert [failure.reason for failure in failures] == [
        f"sent {SENDS} times, and never answered"
    ]


def test_a_file_that_never_stops_changing_is_given_up() -> None:
    """At once it is tried again, and then less often: it may be a copy."""
    ledger = Ledger(1, TIMEOUT_S)
    tried: list[int] = []
    failures: list[Failure] = []
    for second in range(4_000):
        failures += ledger.overdue(second)
        for number in ledger.plan(1, second):
            ledger.wanted(number)
        if number := ledger.take() or 0:
            ledger.changed(number, second)
            tried.append(second)

    assert [failure.reason for failure in failures] == [
        "it changes while it is read"
    ]
    assert tried[:QUICK_READS] == [*range(QUICK_READS)]
    assert 60 < tried[-1] < 120


def test_a_new_sink_is_told_everything_that_is_not_finished() -> None:
    ledger = flying(4)
    ledger.close(2, 1)

    ledger.sink_lost()

    assert ledger.plan(10, 1) == [1, 3, 4]
    assert ledger.flying == 0


def test_a_batch_of_a_million_names_is_planned_a_little_ahead() -> None:
    ledger = Ledger(1_000_000, TIMEOUT_S)
    planned = ledger.plan(1_000_000, 0)
    assert len(planned) < 5_000
    assert not ledger.plan(1_000_000, 0)
