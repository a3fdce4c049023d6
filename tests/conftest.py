"""Fixtures that every test may use: contexts that cannot leak, programs."""

import gc
import os
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from itertools import chain, islice
from typing import Any

import pytest
import zmq
from hypothesis import HealthCheck, settings

from tests.support import Program, terminate
from tests.zygote import zygote

# On a loaded machine an example takes as long as it takes: hypothesis would
# call one of more than 200 ms a failure.
settings.register_profile(
    "house", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")

# A shell starts what it puts into the background with Ctrl-C ignored, and
# nohup with SIGHUP; so would be every program that a test starts and ends.
for number, default in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, default)


@pytest.fixture(scope="session", autouse=True)
def ready_zygote() -> None:
    """Start it before any test counts our descriptors and children."""
    zygote()


def patience(item: pytest.Item) -> float:
    """Return its time-out: what may take long has a long one."""
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker else 0.0


@pytest.hookimpl(trylast=True)  # after the shuffle
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let each worker begin with its share of the slow modules.

    A long test that comes last is waited for by all. xdist cuts the list
    into one piece a worker, and who has finished takes from the end of the
    longest. Modules stay whole, since their tests share what is dear.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers == 1:
        return
    slow: dict[str, list[pytest.Item]] = {}
    fast: list[pytest.Item] = []
    for item in items:
        if item.get_closest_marker("slow"):
            slow.setdefault(item.nodeid.partition("::")[0], []).append(item)
        else:
            fast.append(item)
    modules = sorted(
        slow.values(), key=lambda tests: -max(map(patience, tests))
    )
    shares = [
        [*chain.from_iterable(modules[n::workers])] for n in range(workers)
    ]
    left, size = iter(fast), len(items)
    items.clear()
    for number, share in enumerate(shares):
        room = (size - len(items)) // (workers - number)
        items += share
        items += islice(left, max(0, room - len(share)))
    items += left


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Spare the garbage collector what lives as long as the session."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.fixture
def new_context() -> Iterator[Callable[[], zmq.Context[Any]]]:
    """Make contexts; at the end each must terminate within a deadline."""
    contexts: list[zmq.Context[Any]] = []

    def make() -> zmq.Context[Any]:
        context: zmq.Context[Any] = zmq.Context()
        contexts.append(context)
        return context

    yield make
    for context in contexts:
        terminate(context)


@pytest.fixture
def context(new_context: Callable[[], zmq.Context[Any]]) -> zmq.Context[Any]:
    """One context; a test that leaves a socket open in it fails."""
    return new_context()


@pytest.fixture
def start() -> Iterator[Callable[..., Program]]:
    """Start programs; whatever still runs at the end is killed."""
    with ExitStack() as stack:

        def run(*argv: str, **options: Any) -> Program:
            program = Program(*argv, **options)
            stack.callback(program.close)
            return program

        yield run
