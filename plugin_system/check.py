"""The fault matrix: what the host sees, how soon, and how soon all is well.

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
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from plugin_system.errors import CallError, PluginCrashed
from plugin_system.executor import Executor
from plugin_system.registry import Registration
from plugin_system.restarts import RestartPolicy

PATIENCE_S = 0.3  # the deadline of a call that is going to hang
LONG_S = 20.0  # the deadline of everything else

# A fault, the argument that makes it, and the error that must come of it.
CALLS: tuple[tuple[str, str, Any, str], ...] = (
    ("raises an exception", "fail", "no", "PluginError"),
    ("ends with exit code 3", "crash", 3, "PluginCrashed"),
    ("segmentation fault", "crash", "SIGSEGV", "PluginCrashed"),
    ("SIGKILL in a call", "crash", "SIGKILL", "PluginCrashed"),
    ("ends after its reply", "crash", "exit after the reply", "result"),
    ("sleeps for ever", "hang", "asleep", "PluginTimeout"),
    ("is stopped (SIGSTOP)", "hang", "stopped", "PluginTimeout"),
    ("ignores SIGTERM", "hang", "with SIGTERM ignored", "PluginTimeout"),
    (
        "holds the interpreter's lock",
        "hang",
        "with the interpreter's lock",
        "PluginTimeout",
    ),
    ("replies with noise", "lie", "noise", "PluginProtocolError"),
    ("replies with nothing", "lie", "nothing", "PluginProtocolError"),
    ("replies to another call", "lie", "wrong id", "PluginProtocolError"),
    (
        "replies as somebody else",
        "lie",
        "wrong incarnation",
        "PluginProtocolError",
    ),
    ("replies without outcome", "lie", "no outcome", "PluginProtocolError"),
    ("replies with 64 MiB + 1", "lie", "too much", "PluginProtocolError"),
    ("speaks no ZMTP", "lie", "raw bytes", "PluginProtocolError"),
    ("never replies", "lie", "silence", "PluginTimeout"),
)
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

    fault: str
    expected: str
    detected_as: str
    after_ms: float
    recovered_ms: float | None

    @property
    def good(self) -> bool:
        return self.detected_as == self.expected

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "good": self.good}


def check(registration: Registration, inside: bool) -> Iterator[Row]:
    """Yield a row for each fault, as it is seen.

    `inside` is for the chaos plugin: faults that it makes itself.
    """
    policy = RestartPolicy(deaths=1000, backoff=0)
    with Executor([registration], policy=policy) as executor:
        name = registration.name
        executor.ping(name, timeout=LONG_S)
        for fault, number in (
            ("killed between two calls", signal.SIGKILL),
            ("stopped before a call", signal.SIGSTOP),
            ("killed while stopped in a call", signal.SIGKILL),
        ):
            yield _from_outside(executor, name, fault, number)
        for fault, method, how, expected in CALLS if inside else ():
            wait = PATIENCE_S if expected == "PluginTimeout" else LONG_S
            yield _row(
                executor,
                name,
                fault,
                expected,
                partial(executor.call, name, method, how, timeout=wait),
            )
    for fault, how, expected in STARTS if inside else ():
        broken = replace(
            registration, env={"CHAOS_START": how}, start_timeout=LONG_S
        )
        if how == "silent":
            broken = replace(broken, start_timeout=PATIENCE_S)
        with Executor([broken], policy=policy) as executor:
            yield _row(
                executor,
                name,
                fault,
                expected,
                partial(executor.ping, name, timeout=LONG_S),
                recovers=expected == "result",
            )


def _from_outside(
    executor: Executor, name: str, fault: str, number: signal.Signals
) -> Row:
    pid = executor.status(name).pid
    assert pid  # noqa: S101  (it has just answered)
    if fault == "killed while stopped in a call":
        os.kill(pid, signal.SIGSTOP)
        killed: list[float] = []

        def kill() -> None:
            killed.append(time.monotonic())
            os.kill(pid, number)

        killer = threading.Timer(0.1, kill)
        begun = time.monotonic()
        killer.start()
        row = _row(
            executor,
            name,
            fault,
            "PluginCrashed",
            lambda: executor.ping(name, timeout=LONG_S),
        )
        killer.join()
        early = (killed[0] - begun) * 1000  # the call was not hurt so long
        return replace(row, after_ms=row.after_ms - early)
    stopped = number is signal.SIGSTOP
    death = os.pidfd_open(pid)
    os.kill(pid, number)
    if not stopped:  # it takes a moment to die
        select.select([death], [], [], LONG_S)
    os.close(death)
    return _row(
        executor,
        name,
        fault,
        "PluginTimeout" if stopped else "result",
        lambda: executor.ping(
            name, timeout=PATIENCE_S if stopped else LONG_S
        ),
    )


def _row(
    executor: Executor,
    name: str,
    fault: str,
    expected: str,
    act: Callable[[], Any],
    recovers: bool = True,
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
    return Row(fault, expected, detected, (seen - begun) * 1000, recovered)
