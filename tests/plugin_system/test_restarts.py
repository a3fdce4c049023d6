"""When a plugin may be started again: in virtual time, then for real."""

import random
import time

import pytest

from plugin_system.errors import PluginCrashed, PluginUnavailable
from plugin_system.host.restarts import RestartBudget, RestartPolicy
from plugin_system.host.supervisor import State

from .conftest import LONG_S, Run, is_good

POLICY = RestartPolicy(
    deaths=4, window=60, backoff=1, longest_backoff=8, pause=30
)


def budget() -> RestartBudget:
    return RestartBudget(POLICY, jitter=random.Random(1))


def test_the_first_restart_is_at_once_and_the_next_ones_wait_longer() -> None:
    crashing = budget()
    waits = []
    for now in (100.0, 101.0, 102.0):
        crashing.died(now)
        waits.append(crashing.wait(now))
    assert waits[0] == 0
    assert 0.5 <= waits[1] <= 1
    assert 1 <= waits[2] <= 2


def test_a_spent_budget_breaks_the_plugin_even_with_successes_between() -> (
    None
):
    crashing = budget()
    for now in (100.0, 110.0, 120.0, 130.0):
        assert not crashing.broken
        crashing.answered()  # a count of failures in a row would start again
        crashing.died(now)
    assert crashing.broken
    assert 15 <= crashing.wait(130.0) <= 30


def test_deaths_far_apart_never_break_a_plugin() -> None:
    crashing = budget()
    for number in range(100):
        crashing.died(100.0 + 61 * number)
        assert not crashing.broken
        assert crashing.wait(100.0 + 61 * number) == 0


def test_each_failed_probe_doubles_the_pause_and_a_good_one_ends_it() -> None:
    crashing = budget()
    now = 100.0
    for _ in range(4):
        crashing.died(now)
    pauses = []
    for _ in range(8):
        pauses.append(crashing.wait(now))
        now += pauses[-1]
        assert crashing.wait(now) == 0  # the probe may start
        crashing.died(now)
    assert pauses[1] > 29  # half of the doubled pause at least
    assert max(pauses) <= POLICY.longest_pause
    crashing.answered()
    assert not crashing.broken
    assert crashing.wait(now) == 0


def test_many_hosts_do_not_restart_in_step() -> None:
    waits = set()
    for seed in range(20):
        crashing = RestartBudget(POLICY, jitter=random.Random(seed))
        crashing.died(100.0)
        crashing.died(100.0)
        waits.add(crashing.wait(100.0))
    assert len(waits) == 20


@pytest.mark.slow
def test_a_broken_plugin_is_refused_at_once_until_a_probe_succeeds(
    run: Run,
) -> None:
    policy = RestartPolicy(deaths=2, backoff=0, pause=2.0)
    executor = run(policy=policy)
    for _ in range(2):
        with pytest.raises(PluginCrashed):
            executor.call("chaos", "crash", 1, timeout=LONG_S)
    begun = time.monotonic()
    with pytest.raises(PluginUnavailable, match="died too often") as caught:
        executor.call("chaos", "echo", "no", timeout=LONG_S)
    took = time.monotonic() - begun
    assert not caught.value.maybe_done
    assert caught.value.retry_after
    assert 0 < caught.value.retry_after <= 2.0
    assert took < 1.5  # and not after a pause
    assert executor.status("chaos").starts == 2  # nothing was started
    assert executor.status("chaos").state is State.BROKEN

    while True:  # the caller does what retry_after says
        try:
            assert is_good(executor)
            break
        except PluginUnavailable as error:
            assert error.retry_after
            time.sleep(error.retry_after)
    assert executor.status("chaos").state is State.READY


def test_a_backoff_that_fits_in_the_deadline_is_waited_for(run: Run) -> None:
    policy = RestartPolicy(deaths=100, backoff=0.2, longest_backoff=0.2)
    executor = run(policy=policy)
    for _ in range(3):
        with pytest.raises(PluginCrashed):
            executor.call("chaos", "crash", 1, timeout=LONG_S)
    with pytest.raises(PluginUnavailable):
        executor.call("chaos", "echo", "too short", timeout=0.01)
    assert is_good(executor)
