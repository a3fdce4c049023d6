"""Plugins do not disturb each other, and callers share one in turns."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from plugin_system.errors import (
    PluginCrashed,
    PluginProtocolError,
    PluginTimeout,
)
from plugin_system.messages_pb2 import PluginCall, PluginReply
from plugin_system.values import encode

from . import more_chaos
from .conftest import LONG_S, SHORT_S, Run, chaos, is_good
from .test_host_death import wait_for_file


@pytest.mark.slow
def test_a_hanging_plugin_never_delays_another(
    run: Run, tmp_path: Path
) -> None:
    executor = run(chaos("a"), chaos("b"))
    executor.start()
    noted = tmp_path / "noted"
    hang = ("a", "hang_noting", "asleep", str(noted))
    hanging = executor.submit(*hang, timeout=LONG_S)
    wait_for_file(noted)
    for number in range(100):
        assert executor.call("b", "echo", number, timeout=4) == number
    assert not hanging.done()  # all hundred were quicker than one hang


def test_eight_threads_get_their_own_answers(run: Run) -> None:
    executor = run()

    def ask(caller: int) -> None:
        for number in range(50):
            sent = [caller, number]
            assert executor.call("chaos", "echo", sent, timeout=60) == sent

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))
    assert executor.status("chaos").results == 400
    assert executor.status("chaos").starts == 1


@pytest.mark.slow
def test_waiting_for_others_counts_against_the_deadline(
    run: Run, tmp_path: Path
) -> None:
    executor = run()
    executor.start()
    noted = tmp_path / "noted"
    hang = ("chaos", "hang_noting", "asleep", str(noted))
    first = executor.submit(*hang, timeout=LONG_S)
    wait_for_file(noted)
    with pytest.raises(PluginTimeout, match="other calls") as caught:
        executor.call("chaos", "echo", 1, timeout=SHORT_S)
    assert not caught.value.maybe_done
    assert not first.done()  # and it was not killed for our sake


def test_a_caller_without_time_left_harms_no_plugin(run: Run) -> None:
    executor = run()
    executor.start()
    for _ in range(10):  # spent before anything is sent
        with pytest.raises(PluginTimeout, match="before it was") as caught:
            executor.call("chaos", "echo", 1, timeout=1e-9)
        assert not caught.value.maybe_done
    assert is_good(executor)
    assert executor.status("chaos").starts == 1


@pytest.mark.slow
def test_an_abandoned_request_runs_at_most_once(
    run: Run, tmp_path: Path
) -> None:
    executor = run()
    executor.start()
    for number in range(5):
        noted = tmp_path / str(number)
        with pytest.raises(PluginTimeout):
            executor.call(
                "chaos", "hang_noting", "stopped", str(noted), timeout=SHORT_S
            )
        assert executor.call("chaos", "echo", number, timeout=30) == number
        assert not noted.exists() or len(noted.read_bytes()) == 1


def test_an_interrupted_call_costs_its_plugin_and_no_other_call(
    run: Run, tmp_path: Path
) -> None:
    executor, noted = run(), tmp_path / "noted"
    caller = threading.get_ident()

    def interrupt() -> None:
        wait_for_file(noted)
        signal.pthread_kill(caller, signal.SIGINT)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(interrupt)
        with pytest.raises(KeyboardInterrupt):
            executor.call(
                "chaos", "hang_noting", "asleep", str(noted), timeout=LONG_S
            )
    assert executor.status("chaos").state == "stopped"
    assert is_good(executor)
    assert executor.status("chaos").starts == 2


def test_a_call_is_sent_again_only_where_that_does_no_harm(
    run: Run, tmp_path: Path
) -> None:
    executor = run()
    once, note = str(tmp_path / "once"), str(tmp_path / "note")
    # `once` dies at its first call, and says that it is idempotent.
    assert executor.call("chaos", "once", once, "SIGKILL", timeout=60) == 2
    # `die_noting` does the same, and says nothing.
    with pytest.raises(PluginCrashed):
        executor.call("chaos", "die_noting", note, "SIGKILL", timeout=60)
    assert is_good(executor)
    assert Path(note).read_bytes() == b"."


def test_a_call_read_after_its_deadline_is_not_begun(
    tmp_path: Path,
) -> None:
    noted = tmp_path / "noted"
    late = PluginCall(
        id=1,
        incarnation=2,
        method="note",
        deadline_ns=time.monotonic_ns() - 1,
    )
    encode(str(noted), late.arguments.add())
    reply = PluginReply.FromString(
        more_chaos.plugin.answer(late.SerializeToString(), 2)
    )
    assert reply.failure.type == "DeadlinePassed"
    assert not noted.exists()


@pytest.mark.slow
def test_plugins_start_side_by_side(run: Run) -> None:
    env = {"CHAOS_START": "slow", "CHAOS_SECONDS": "2"}
    names = [f"plugin-{number}" for number in range(10)]
    executor = run(*(chaos(name, env=env) for name in names))
    begun = time.monotonic()
    assert not any(executor.start(timeout=LONG_S).values())
    assert time.monotonic() - begun < 15  # one after another: 20 s


def test_a_lie_is_not_sent_again_either(run: Run) -> None:
    executor = run()
    with pytest.raises(PluginProtocolError):
        executor.call("chaos", "lie", "noise", timeout=LONG_S)
    assert executor.status("chaos").starts == 1
