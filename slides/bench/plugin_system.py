"""What a call costs, and a fault, beside other ways to call a process.

Turns of a hundred calls. A ratio is the median of the ratios of neighbouring
turns: the machine may change its pace between two rounds, and then a ratio
of overall medians would set one pace against another.
"""

import logging
import os
import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from functools import partial
from statistics import median

from plugin_system.errors import PluginCrashed, PluginTimeout
from plugin_system.executor import Executor
from plugin_system.host.restarts import RestartPolicy
from plugin_system.registry import Registration
from slides.bench import plugin_rivals as rivals
from slides.bench.kit import Bench, Row, new, row, seconds
from slides.bench.plugin_rivals import DATA, Ways

TURN = 100
POLICY = RestartPolicy(deaths=10_000, backoff=0)
TARGET = "plugin_system.samples.chaos:plugin"


def measure(
    calls: int,
    faults: int = 30,
    starts: int = 10,
    say: Callable[[str], None] = lambda _: None,
) -> Bench:
    """Measure calls, faults and starts; `say` hears of the progress."""
    bench = new("grpcio")
    bench.about = "Ratio: to bare REQ/REP, median over neighbouring turns."
    # What the plugins print while they are killed is no news here.
    logging.getLogger("plugin_system.plugin").setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        executor = stack.enter_context(
            Executor(
                [
                    Registration("echo", "slides.bench.plugin_rivals:plugin"),
                    Registration("chaos", TARGET),
                ],
                policy=POLICY,
            )
        )
        others = rivals.ways(stack, bench.left_out)
        bare = next(iter(others))
        ways = {
            bare: others.pop(bare),
            "Executor.call": lambda: executor.call("echo", "echo", DATA),
            **others,
        }
        say(f"{calls} calls")
        bench.rows = _round_trips(ways, calls)
        executor.ping("chaos")
        say(f"{faults} faults")
        bench.rows += _faults(executor, faults)
        bench.rows.append(_pool_after_a_kill())
    say(f"{starts} starts")
    bench.rows += _starts(starts)
    return bench


def _round_trips(ways: Ways, calls: int) -> list[Row]:
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for ask in ways.values():
        ask()  # connects, or starts a process
    ratios: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(0, calls, TURN):
        bare = 0.0
        for name, ask in ways.items():
            turn = [seconds(ask) for _ in range(TURN)]
            taken[name] += turn
            bare = bare or median(turn)
            ratios[name].append(median(turn) / bare)
    return [
        row(name, each, ratio=median(ratios[name]))
        for name, each in taken.items()
    ]


def _faults(executor: Executor, faults: int) -> list[Row]:
    crashed, recovered, late = [], [], []
    for _ in range(faults):
        crashed.append(_crash(executor))
        recovered.append(
            seconds(lambda: executor.call("chaos", "echo", DATA))
        )
    for _ in range(faults // 3):
        executor.ping("chaos")
        begun = time.monotonic()
        try:
            executor.call("chaos", "hang", "asleep", timeout=0.1)
        except PluginTimeout:
            late.append(time.monotonic() - begun - 0.1)
    executor.ping("chaos")
    return [
        row("SIGKILL in a call to PluginCrashed", crashed),
        row("PluginCrashed to the next good reply", recovered),
        row("hang: deadline to killed and told", late),
    ]


def _crash(executor: Executor) -> float:
    begun = time.monotonic()
    try:
        executor.call("chaos", "crash", "SIGKILL")
    except PluginCrashed:
        return time.monotonic() - begun
    raise AssertionError("it was killed and replied")


def _pool_after_a_kill() -> Row:
    with rivals.pool_of_one() as pool:
        with rivals.interrupts_blocked():
            pool.submit(rivals.echo, DATA).result()
        begun = time.monotonic()
        try:
            pool.submit(_die).result()
        except BrokenProcessPool as error:
            taken = time.monotonic() - begun
            first = type(error).__name__
        try:
            pool.submit(rivals.echo, DATA).result()
            after = "the pool answers again"
        except BrokenProcessPool:
            after = "the pool stays broken for good"
    return row(
        "ProcessPoolExecutor: SIGKILL to told",
        [taken],
        note=f"{first}, without signal or exit code; {after}",
    )


def _die() -> None:
    os.kill(os.getpid(), 9)


def _starts(count: int) -> list[Row]:
    names = [f"plugin-{number}" for number in range(count)]
    registrations = [Registration(name, TARGET) for name in names]
    with Executor(registrations) as executor:
        together = seconds(lambda: executor.start())
    with Executor(registrations) as executor:
        single = [seconds(partial(executor.start, name)) for name in names]
    return [
        row("start of a plugin, one after another", single),
        row(
            f"start of {count} plugins together",
            [together],
            ratio=together / sum(single),
            note=f"ratio to {count} starts one after another",
        ),
    ]
