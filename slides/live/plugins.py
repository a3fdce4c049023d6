"""Four plugins, each a process, and what becomes of a call, as a show.

    python -m slides.live.plugins

Beside what every show tells (see play.py):

    call     worker, timeout
    outcome  worker, outcome, ms, why
    back     worker, pid, ms   after a failure: the next good answer

All four are `plugin_system.samples.chaos`, and each click on one is a call
through a real `Executor`. There is no last call: the show is over when
nobody has clicked for a while.
"""

import queue
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from plugin_system.errors import (
    CallError,
    PluginCrashed,
    PluginProtocolError,
    PluginTimeout,
)
from plugin_system.executor import Executor
from plugin_system.host.restarts import RestartPolicy
from plugin_system.registry import Registration
from slides.live.play import Play

CALLS = {  # by plugin: a method and its argument
    "ask": ("echo", 42),
    "crash": ("crash", "SIGSEGV"),
    "lie": ("lie", "noise"),
    "hang": ("hang", "asleep"),
}
OUTCOMES = {
    PluginCrashed: "crashed",
    PluginProtocolError: "protocol error",
    PluginTimeout: "timeout",
}
TIMEOUT_S = 1.0
IDLE_S = 300.0
CHAOS = "plugin_system.samples.chaos:plugin"


class PluginShow(Play):
    def __init__(self) -> None:
        super().__init__()
        self._idle = set(CALLS)
        self._counts = {"total": 0, "made": 0, "again": 0, "lost": 0}

    def play(self) -> None:
        self.tell("begin", total=0)
        plugins = [Registration(name, CHAOS) for name in CALLS]
        policy = RestartPolicy(deaths=100)  # a room clicks often
        with (
            Executor(plugins, policy=policy) as executor,
            ThreadPoolExecutor() as pool,
        ):
            executor.start()
            pids = {name: executor.status(name).pid for name in CALLS}
            self.tell("crew", workers=pids)
            with suppress(queue.Empty):  # nobody has clicked for a while
                while name := self.clicks.get(timeout=IDLE_S):
                    if name in self._idle:
                        self._idle.remove(name)
                        pool.submit(self._call, executor, name)
        self.tell("over", **self._counts)

    def _call(self, executor: Executor, name: str) -> None:
        method, argument = CALLS[name]
        outcome, why = "reply", str(argument)
        self._counts["total"] += 1
        self.tell("call", worker=name, timeout=TIMEOUT_S)
        began = time.perf_counter()
        try:
            executor.call(name, method, argument, timeout=TIMEOUT_S)
        except CallError as error:
            outcome = OUTCOMES.get(type(error), "unavailable")
            why = error.sentence
        more = {"outcome": outcome, "ms": _since(began), "why": why}
        self.tell("outcome", worker=name, **more)
        if outcome == "reply":
            self._counts["made"] += 1
        else:
            self._counts["lost"] += 1
            self._ask_again(executor, name)
        self._idle.add(name)

    def _ask_again(self, executor: Executor, name: str) -> None:
        began = time.perf_counter()
        executor.call(name, "echo", 42, timeout=20)
        self._counts["again"] += 1
        more = {"pid": executor.status(name).pid, "ms": _since(began)}
        self.tell("back", worker=name, **more)


def _since(began: float) -> float:
    return round(1000 * (time.perf_counter() - began), 1)


if __name__ == "__main__":
    PluginShow().run()
