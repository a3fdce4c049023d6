"""Time in which a process does not run, and what comes to light after it."""

from image_pipeline.delivery.clock import AFTERMATH_S, GAP_S, Clock


def test_the_clock_stands_still_while_nobody_looks_at_it() -> None:
    clock = Clock(100.0)
    assert clock.at(100.1) == 100.1
    asleep = 10 * GAP_S
    assert clock.at(100.1 + asleep) == 100.1
    assert round(clock.at(100.2 + asleep), 6) == 100.2


def test_a_loop_that_is_late_by_less_than_a_gap_loses_no_time() -> None:
    clock = Clock(0.0)
    assert clock.at(GAP_S) == GAP_S
    assert not clock.just_woke


def test_it_has_just_woken_until_the_aftermath_is_over() -> None:
    clock = Clock(0.0)
    clock.at(60.0)
    assert clock.just_woke
    for second in range(61, 61 + int(AFTERMATH_S)):
        clock.at(second)
    assert not clock.just_woke
