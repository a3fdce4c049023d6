"""Time in which a process does not run, and what comes to light after it."""

from image_pipeline.delivery.clock import GAP_S, Clock


def test_the_clock_stands_still_while_nobody_looks_at_it() -> None:
    clock = Clock(100.0)
    assert clock.at(100.1) == 100.1
    asleep = 10 * GAP_S
    assert clock.at(100.1 + asleep) == 100.1
    assert round(clock.at(100.2 + asleep), 6) == 100.2


def test_a_loop_that_is_late_by_less_than_a_gap_loses_no_time() -> None:
    clock = Clock(0.0)
    assert clock.at(GAP_S) == GAP_S
