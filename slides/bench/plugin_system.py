"""What a call costs, and a fault, beside other ways to call a process.

A ratio is the median of the ratios of neighbouring turns of a hundred calls,
as the pace of a machine changes between two rounds. The other servers die
with the bench, however it dies, and Ctrl-C does not reach them.
"""

import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from multiprocessing import resource_tracker
from statistics import median
from typing import Any

import zmq

from pingpong.support.process import running
from plugin_system.errors import PluginCrashed, PluginTimeout
from plugin_system.executor import Executor
from plugin_system.host.launcher import die_with
from plugin_system.host.restarts import RestartPolicy
from plugin_system.host.runtime_folder import RuntimeFolder
from plugin_system.registry import Registration
from slides.bench import baselines
from slides.bench.kit import (
    Bench,
    Row,
    Say,
    in_python,
    new,
    row,
    seconds,
    until,
)

DATA = bytes(100)
TURN = 100
POLICY = RestartPolicy(deaths=10_000, backoff=0)
TARGET = "plugin_system.samples.chaos:plugin"
Ways = dict[str, Callable[[], Any]]


def echo(data: bytes) -> bytes:
    return data


def measure(calls: int, faults: int = 30, say: Say = lambda _: None) -> Bench:
    """Measure calls and faults; `say` hears of the progress."""
    bench = new("grpcio")
    # What the plugins print while they are killed is no news here.
    logging.getLogger("plugin_system.plugin").setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        chaos = [Registration("chaos", TARGET)]
        executor = stack.enter_context(Executor(chaos, policy=POLICY))
        call = partial(executor.call, "chaos")
        ways = line_up(stack, partial(call, "echo", DATA), bench.left_out)
        say(f"{calls} calls")
        bench.rows = _round_trips(ways, calls)
        executor.ping("chaos")
        say(f"{faults} faults")
        bench.rows += _faults(call, faults)
        told = [_pool_after_a_kill()]
        bench.rows.append(row("ProcessPoolExecutor: SIGKILL to told", told))
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
    return [row(k, each, median(ratios[k])) for k, each in taken.items()]


def _faults(call: Callable[..., Any], faults: int) -> list[Row]:
    crashed, recovered, late = [], [], []
    crash = partial(call, "crash", "SIGKILL")
    hang = partial(call, "hang", "asleep", timeout=0.1)
    echo = partial(call, "echo", DATA)
    for number in range(faults):
        crashed.append(until(PluginCrashed, crash))
        recovered.append(seconds(echo))
        if number % 3 == 0:
            late.append(until(PluginTimeout, hang) - 0.1)
            echo()
    return [
        row("SIGKILL in a call to PluginCrashed", crashed),
        row("PluginCrashed to the next good reply", recovered),
        row("hang: deadline to killed and told", late),
    ]


def _pool_after_a_kill() -> float:
    with pool_of_one() as pool:
        with interrupts_blocked():
            pool.submit(echo, DATA).result()
        killed = pool.submit(signal.raise_signal, signal.SIGKILL)
        return until(BrokenProcessPool, killed.result)


def line_up(
    stack: ExitStack, call: Callable[[], Any], left_out: dict[str, str]
) -> Ways:
    """Return functions that ask, bare ZeroMQ first; `stack` ends servers."""
    runtime = RuntimeFolder()  # the next one sweeps it, should this be killed
    stack.callback(runtime.close)
    enter = stack.enter_context
    bare, grpc = f"ipc://{runtime.path}/zmq", f"unix:{runtime.path}/grpc"
    with interrupts_blocked():
        enter(running(*in_python(serve_zmq, bare)))
        requests = enter(enter(zmq.Context()).socket(zmq.REQ))
        requests.linger = 0
        requests.connect(bare)
        pool = enter(pool_of_one())
        pool.submit(echo, DATA).result()  # starts its process
        ways: Ways = {
            "bare REQ/REP over ipc, no deadline": lambda: (
                requests.send(DATA),
                requests.recv(),
            ),
            "Executor.call": call,
            "ProcessPoolExecutor.submit": lambda: pool.submit(
                echo, DATA
            ).result(),
        }
        if find_spec("grpc"):
            enter(running(*in_python(baselines.serve_grpc, grpc, "echo")))
            ask = enter(baselines.grpc_client(grpc))
            ways["gRPC over a Unix socket"] = partial(ask, DATA)
        else:
            left_out["gRPC"] = "grpcio is not installed"
    return ways


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Start processes that never hear of Ctrl-C: a mask is inherited.

    A terminal sends it to all of them, and each would print a traceback.
    Here it waits, since a start cut in half leaves a process behind.
    """
    heard: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda *_: heard.append(1))
    resource_tracker.ensure_running()  # its own start would lift the mask
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
    if heard:
        raise KeyboardInterrupt


def pool_of_one() -> ProcessPoolExecutor:
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(
        1, mp_context=spawn, initializer=die_with, initargs=(os.getpid(),)
    )


def serve_zmq(endpoint: str) -> None:
    """A bare REP: no schema, no deadline, no check."""
    with zmq.Context() as context, context.socket(zmq.REP) as replies:
        replies.bind(endpoint)
        print("ready", flush=True)
        while True:
            replies.send(replies.recv())
