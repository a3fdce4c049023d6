"""A plugin dies with its host, however that dies, and never by mistake."""

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from plugin_system.executor import Executor
from plugin_system.host.runtime_folder import PREFIX
from tests.support import Program

from .conftest import LONG_S, Run, chaos, is_good
from .test_outcomes import wait_until_gone

Start = Callable[..., Program]


@pytest.mark.parametrize(
    "doing",
    ["idle", "asleep", "with SIGTERM ignored", "with the interpreter's lock"],
)
def test_a_plugin_is_gone_soon_after_its_host_was_killed(
    start: Start, folder: Path, doing: str
) -> None:
    host = start("tests.plugin_system.host", str(folder), doing)
    pid = int(host.wait_for(r"pid (\d+)").group(1))
    if doing != "idle":
        wait_for_file(folder / "noted")
    begun = time.monotonic()
    host.signal(signal.SIGKILL)
    wait_until_gone(pid)
    assert time.monotonic() - begun < LONG_S / 3


def test_the_next_host_sweeps_the_folder_of_a_dead_one(
    start: Start, folder: Path
) -> None:
    host = start("tests.plugin_system.host", str(folder), "idle")
    pid = int(host.wait_for(r"pid (\d+)").group(1))
    with Executor([chaos()], runtime_base=folder):
        assert len(list(folder.glob(f"{PREFIX}*"))) == 2  # its owner lives
    host.signal(signal.SIGKILL)
    host.wait()
    wait_until_gone(pid)
    assert len(list(folder.glob(f"{PREFIX}*"))) == 1
    with Executor([chaos()], runtime_base=folder) as executor:
        assert is_good(executor)
        assert len(list(folder.glob(f"{PREFIX}*"))) == 1
    assert not list(folder.glob(f"{PREFIX}*"))


def test_interrupting_the_host_ends_it_and_its_plugin(
    start: Start, folder: Path
) -> None:
    host = start("tests.plugin_system.host", str(folder), "asleep")
    pid = int(host.wait_for(r"pid (\d+)").group(1))
    wait_for_file(folder / "noted")
    host.signal(signal.SIGINT)
    assert host.wait() != 0
    wait_until_gone(pid)
    assert not list(folder.glob(f"{PREFIX}*"))


def test_a_plugin_outlives_the_thread_that_happened_to_start_it(
    run: Run,
) -> None:
    # The kernel takes the end of the thread that started a process for the
    # death of its parent: a naive PR_SET_PDEATHSIG kills the plugin here.
    executor = run()
    first = threading.Thread(target=is_good, args=(executor,))
    first.start()
    first.join(LONG_S)
    assert is_good(executor)
    assert executor.status("chaos").starts == 1


def wait_for_file(path: Path) -> None:
    deadline = time.monotonic() + LONG_S
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
