"""Executors that clean up after themselves, and plugins that misbehave."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from plugin_system.executor import Executor
from plugin_system.host.restarts import RestartPolicy
from plugin_system.registry import Registration
from tests.support import ROOT, needs

# What most tests use: a plugin may die as often as the test wants.
IMMORTAL = RestartPolicy(deaths=10_000, backoff=0.0)

# Long enough for a loaded machine; no test waits this long when it passes.
LONG_S = 30.0
# Short, for a call that is going to hang.
SHORT_S = 0.3

Run = Callable[..., Executor]


def chaos(name: str = "chaos", **options: Any) -> Registration:
    return Registration(
        name, target="tests.plugin_system.more_chaos:plugin", **options
    )


def starting(how: str, **options: Any) -> Registration:
    return chaos(env={"CHAOS_START": how}, **options)


def is_good(executor: Executor, name: str = "chaos") -> bool:
    answer: str = executor.call(name, "echo", "good", timeout=LONG_S)
    return answer == "good"


@pytest.fixture(scope="session")
def in_c(tmp_path_factory: pytest.TempPathFactory) -> Registration:
    """A plugin that starts in no time, for tests with hundreds of starts."""
    needs("cc", "make", "pkg-config", "protoc-c")
    built = tmp_path_factory.mktemp("plugin")
    schema = built / "proto/messages.pb-c.o"
    flags = "$(pkg-config --cflags --libs libzmq libprotobuf-c)"
    build = (
        f"make --silent -C pingpong/c BUILD={built} {schema} &&"
        f" cc -Wall -Werror -o {built}/plugin tests/plugin_system/plugin.c"
        f" {schema} -I{built} {flags}"
    )
    subprocess.run(["sh", "-c", build], cwd=ROOT, timeout=50, check=True)
    return Registration("c", argv=(str(built / "plugin"),))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path: a socket's is at most 107 bytes."""
    with TemporaryDirectory(prefix="t-") as path:
        yield Path(path)


@pytest.fixture(autouse=True)
def _log_is_written() -> Iterator[None]:
    """A line that a slow handler is given late belongs to no other test."""
    yield
    for thread in threading.enumerate():
        if thread.name == "plugin log":
            thread.join(LONG_S)


@pytest.fixture
def run(folder: Path) -> Iterator[Run]:
    """Make executors of the given registrations, by default of chaos."""
    with ExitStack() as stack:

        def make(
            *registrations: Registration, policy: RestartPolicy = IMMORTAL
        ) -> Executor:
            return stack.enter_context(
                Executor(
                    registrations or [chaos()],
                    policy=policy,
                    runtime_base=folder,
                )
            )

        yield make
