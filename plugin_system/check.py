"""The fault matrix: what the host sees, how soon, and how soon it recovers.

Any plugin can be killed and stopped from outside. The chaos plugin breaks
in all ways that a plugin can, from inside.
"""

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from plugin_system.errors import CallError, PluginCrashed
from plugin_system.executor import Executor
from plugin_system.host.restarts import RestartPolicy
from plugin_system.registry import Registration

PATIENCE_S = 0.2  # the deadline of a call that is going to hang
LONG_S = 20.0  # the deadline of everything else

# The error that must come of a fault; the fault, and what makes it.
CALLS: dict[str, tuple[tuple[str, str, str | int], ...]] = {
    "PluginError": (
        ("raises an exception", "fail", "no"),
        ("raises what cannot be printed", "fail", "panic"),
    ),
    "PluginCrashed": (
        ("ends with exit code 3", "crash", 3),
        ("segmentation fault", "crash", "SIGSEGV"),
        ("SIGKILL in a call", "crash", "SIGKILL"),
        ("SIGTERM in a call", "crash", "SIGTERM"),
        ("calls sys.exit", "crash", "in order"),
        ("is interrupted", "crash", "by Ctrl-C"),
        ("ends its context, then itself", "crash", "after its connection"),
        ("forks, and both are killed", "crash", "without a fork's child"),
    ),
    "result": (("ends after its reply", "crash", "exit after the reply"),),
    "PluginProtocolError": (
        ("replies with noise", "lie", "noise"),
        ("replies with nothing", "lie", "nothing"),
        ("replies to another call", "lie", "wrong id"),
        ("replies as somebody else", "lie", "wrong incarnation"),
        ("replies without outcome", "lie", "no outcome"),
        ("replies with 64 MiB + 1", "lie", "too much"),
        ("speaks no ZMTP", "lie", "raw bytes"),
    ),
    "PluginTimeout": (
        ("never replies", "lie", "silence"),
        ("sleeps for ever", "hang", "asleep"),
        ("is stopped (SIGSTOP)", "hang", "stopped"),
        ("ignores SIGTERM", "hang", "with SIGTERM ignored"),
        ("holds the GIL", "hang", "with the interpreter's lock"),
    ),
}
STARTS: tuple[tuple[str, str, str], ...] = (
    ("prints before it is ready", "prints first", "result"),
    ("cannot be imported", "broken import", "PluginCrashed"),
    ("killed while it starts", "killed", "PluginCrashed"),
    ("speaks protocol 7 to 9", "wrong version", "IncompatiblePlugin"),
    ("has the wrong magic", "wrong magic", "IncompatiblePlugin"),
    ("is no plugin", "no plugin", "IncompatiblePlugin"),
    ("starts too slowly", "silent", "PluginTimeout"),
)


@dataclass(frozen=True)
class Row:
    """One fault. Times in milliseconds; None: nothing to recover."""

    where: str
    fault: str
    expected: str
    detected_as: str
    after_ms: float
    recovered_ms: float | None
    good: bool

    def heading(self) -> str:
        return f"{self.where:31} DETECTED AS {'AFTER':>18}  RECOVERED"

    def line(self) -> str:
        back = self.recovered_ms
        recovered = "-" if back is None else f"{back:.1f} ms"
        mark = "" if self.good else f"  EXPECTED {self.expected}"
        seen = f"{self.detected_as:20} {self.after_ms:6.1f} ms"
        return f"{self.fault:31} {seen} {recovered:>10}{mark}"


def check(registration: Registration, inside: bool) -> Iterator[Row]:
    """Yield a row for each fault; `inside` for what chaos does itself."""
    policy = RestartPolicy(deaths=1000, backoff=0)
    with Executor([registration], policy=policy) as executor:
        name = registration.name
        executor.ping(name, timeout=LONG_S)
        yield from _from_outside(executor, name)
        row = partial(_row, executor, name, where="IN A CALL")
        for expected, faults in CALLS.items() if inside else ():
            wait = PATIENCE_S if expected == "PluginTimeout" else LONG_S
            call = partial(executor.call, name, timeout=wait)
            for fault, method, how in faults:
                yield row(fault, expected, partial(call, method, how))
    for fault, how, expected in STARTS if inside else ():
        wait = PATIENCE_S if how == "silent" else LONG_S
        env = {"CHAOS_START": how}
        broken = replace(registration, env=env, start_timeout=wait)
        with Executor([broken], policy=policy) as executor:
            ping = partial(executor.ping, name, timeout=LONG_S)
            row = partial(_row, executor, name, where="AT ITS START")
            yield row(fault, expected, ping, recovers=expected == "result")


def _from_outside(executor: Executor, name: str) -> Iterator[Row]:
    row = partial(_row, executor, name)
    ping = partial(executor.ping, name, timeout=LONG_S)

    def send(number: signal.Signals) -> int:
        pid = executor.status(name).pid
        assert pid  # noqa: S101  (it has just answered)
        os.kill(pid, number)
        return pid

    death = os.pidfd_open(send(signal.SIGKILL))
    select.select([death], [], [], LONG_S)  # it takes a moment to die
    os.close(death)
    yield row("killed between two calls", "result", ping)

    send(signal.SIGSTOP)
    hang = partial(executor.ping, name, timeout=PATIENCE_S)
    yield row("stopped before a call", "PluginTimeout", hang)

    pid = send(signal.SIGSTOP)
    killer = threading.Timer(PATIENCE_S, os.kill, (pid, signal.SIGKILL))

    def die_meanwhile() -> None:
        killer.start()
        ping()

    fault = "killed while stopped in a call"
    killed = row(fault, "PluginCrashed", die_meanwhile)
    killer.join()  # it was not hurt until then
    yield replace(killed, after_ms=killed.after_ms - PATIENCE_S * 1000)


def _row(
    executor: Executor,
    name: str,
    fault: str,
    expected: str,
    act: Callable[[], Any],
    recovers: bool = True,
    where: str = "FROM OUTSIDE",
) -> Row:
    begun = time.monotonic()
    detected = "result"
    try:
        act()
    except CallError as error:
        detected = type(error).__name__
    seen = time.monotonic()
    recovered = None
    if recovers:
        with suppress(PluginCrashed):  # replied, and died only now
            executor.ping(name, timeout=LONG_S)
        executor.ping(name, timeout=LONG_S)
        recovered = (time.monotonic() - seen) * 1000
    after = (seen - begun) * 1000
    good = detected == expected
    return Row(where, fault, expected, detected, after, recovered, good)
