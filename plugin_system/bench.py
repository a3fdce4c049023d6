"""What a call costs, and a fault, beside other ways to call a process.

All in one run, in turns of a hundred calls, so that a busy moment of the
machine hits everybody. A ratio is the median of the ratios of neighbouring
turns: the machine may change its pace between two rounds, and then a ratio
of overall medians would set one pace against another. Times are in seconds.
"""

import os
import platform
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from textwrap import fill, indent, wrap
from typing import Any

import zmq

from plugin_system import peers
from plugin_system.errors import PluginCrashed, PluginTimeout
from plugin_system.executor import Executor
from plugin_system.host.restarts import RestartPolicy
from plugin_system.peers import DATA, Ways
from plugin_system.registry import Registration

CALLS = 3000
TURN = 100
FAULTS = 30
STARTS = 10
POLICY = RestartPolicy(deaths=10_000, backoff=0)
TARGET = "plugin_system.samples.chaos:plugin"
Row = dict[str, Any]


def measure(calls: int = CALLS, faults: int = FAULTS) -> dict[str, Any]:
    """Return all figures: machine, versions, rows, what was left out."""
    with ExitStack() as stack:
        executor = stack.enter_context(
            Executor(
                [
                    Registration("echo", "plugin_system.peers:plugin"),
                    Registration("chaos", TARGET),
                ],
                policy=POLICY,
            )
        )
        others, left_out = peers.ways(stack)
        bare = next(iter(others))
        ways = {
            bare: others.pop(bare),
            "Executor.call": lambda: executor.call("echo", "echo", DATA),
            **others,
        }
        rows = _round_trips(ways, calls)
        executor.ping("chaos")
        rows += _faults(executor, faults)
        rows.append(_pool_after_a_kill())
    rows += _starts()
    return {
        "bench": "plugin_system",
        "machine": _machine(),
        "versions": {
            "python": platform.python_version(),
            "libzmq": zmq.zmq_version(),
            **{
                name: found
                for name in ("pyzmq", "protobuf", "grpcio")
                if (found := _version(name))
            },
        },
        "rows": rows,
        "left_out": left_out,
    }


def lines(result: dict[str, Any]) -> Iterator[str]:
    """Yield the figures as lines of text, at most 80 columns wide."""
    yield f"{'':38} {'MEDIAN':>11} {'P99':>11} {'RATIO':>7}"
    for row in result["rows"]:
        ratio = f"{row['ratio']:7.2f}" if "ratio" in row else ""
        yield (
            f"{row['name']:38} {row['median_s'] * 1000:8.3f} ms "
            f"{row['p99_s'] * 1000:8.3f} ms {ratio}".rstrip()
        )
        if "note" in row:
            yield from indent(fill(row["note"], 76), "  ").splitlines()
    for sentence in result["left_out"]:
        yield f"Left out: {sentence}"
    yield "Ratio: to bare REQ/REP, median over turns taken side by side."
    facts = {**result["machine"], **result["versions"]}
    yield from wrap(", ".join(f"{k} {v}" for k, v in facts.items()), 78)


def _round_trips(ways: Ways, calls: int) -> list[Row]:
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for ask in ways.values():
        ask()  # connects, or starts a process
    ratios: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(0, calls, TURN):
        bare = 0.0
        for name, ask in ways.items():
            turn = [_seconds(ask) for _ in range(TURN)]
            taken[name] += turn
            bare = bare or median(turn)
            ratios[name].append(median(turn) / bare)
    return [
        _row(name, seconds, ratio=median(ratios[name]))
        for name, seconds in taken.items()
    ]


def _faults(executor: Executor, faults: int) -> list[Row]:
    crashed, recovered, late = [], [], []
    for _ in range(faults):
        crashed.append(_crash(executor))
        recovered.append(
            _seconds(lambda: executor.call("chaos", "echo", DATA))
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
        _row("SIGKILL in a call to PluginCrashed", crashed),
        _row("PluginCrashed to the next good reply", recovered),
        _row("hang: deadline to killed and told", late),
    ]


def _crash(executor: Executor) -> float:
    begun = time.monotonic()
    try:
        executor.call("chaos", "crash", "SIGKILL")
    except PluginCrashed:
        return time.monotonic() - begun
    raise AssertionError("it was killed and replied")


def _pool_after_a_kill() -> Row:
    with peers.pool_of_one() as pool:
        with peers.unheard_interrupts():
            pool.submit(peers.echo, DATA).result()
        begun = time.monotonic()
        try:
            pool.submit(_die).result()
        except BrokenProcessPool as error:
            taken = time.monotonic() - begun
            first = type(error).__name__
        try:
            pool.submit(peers.echo, DATA).result()
            after = "the pool answers again"
        except BrokenProcessPool:
            after = "the pool stays broken for good"
    return _row(
        "ProcessPoolExecutor: SIGKILL to told",
        [taken],
        note=f"{first}, without signal or exit code; {after}",
    )


def _die() -> None:
    os.kill(os.getpid(), 9)


def _starts() -> list[Row]:
    names = [f"plugin-{number}" for number in range(STARTS)]
    registrations = [Registration(name, TARGET) for name in names]
    with Executor(registrations) as executor:
        together = _seconds(lambda: executor.start())
    with Executor(registrations) as executor:
        single = [_seconds(partial(executor.start, name)) for name in names]
    return [
        _row("start of a plugin, one after another", single),
        _row(
            f"start of {STARTS} plugins together",
            [together],
            ratio=together / sum(single),
            note=f"ratio to {STARTS} starts one after another",
        ),
    ]


def _seconds(act: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def _row(name: str, seconds: list[float], **more: Any) -> Row:
    ordered = sorted(seconds)
    return {
        "name": name,
        "median_s": median(ordered),
        "p99_s": ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)],
        "max_s": ordered[-1],
        "count": len(ordered),
        **more,
    }


def _machine() -> dict[str, str | int]:
    facts = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)", facts, re.M)
    return {
        "cpu": model[1] if model else platform.machine(),
        "cores": os.cpu_count() or 1,
        "system": platform.platform(),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
