"""Nothing is left behind: descriptors, threads, zombies, files, noise."""

import logging
import operator
import os
import re
import signal
import stat
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from plugin_system.errors import (
    NoSuchMethod,
    NoSuchPlugin,
    PluginCrashed,
    PluginError,
    PluginUnavailable,
)
from plugin_system.executor import CLOSE_S, Executor
from plugin_system.host import linux
from plugin_system.host.runtime_folder import PREFIX, sweep
from plugin_system.registry import Registration
from tests.support import Program

from .conftest import LONG_S, Run, chaos, is_good, starting
from .test_host_death import wait_for_file


def descriptors() -> list[str]:
    """Name what is open, for who looks for the one that is too many."""
    found = []
    for number in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the folder's own, closed by now
            found.append(f"{number.name}: {number.readlink()}")
    return found


def possessions() -> tuple[int, int, int]:
    """Count our file descriptors, threads and children."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    return (
        len(list(Path("/proc/self/fd").iterdir())),
        threading.active_count(),
        len(children.read_text().split()),
    )


def wait_until_nothing_is_left(before: tuple[int, int, int]) -> None:
    """Wait until we have no more than `before`, of anything.

    libzmq's own thread closes sockets a moment later. Less is no fault: an
    earlier test may have had something that ended only now.
    """
    deadline = time.monotonic() + LONG_S
    while any(map(operator.gt, possessions(), before)):
        assert time.monotonic() < deadline, (before, descriptors())
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("how", ["crash", "leave"])
def test_two_hundred_deaths_leave_nothing_behind(
    run: Run, folder: Path, in_c: Registration, how: str
) -> None:
    names = ["a", "b", "c", "d"]
    executor = run(*(replace(in_c, name=name) for name in names))
    executor.start()
    # Ready is not yet connected: libzmq's own thread opens the socket, and
    # on a busy machine it may come to that only after it was counted here.
    assert all(is_good(executor, name) for name in names)
    before = possessions()

    def die_often(name: str) -> None:
        for _ in range(50):
            with pytest.raises(PluginCrashed) as caught:
                executor.call(name, how, "now", timeout=LONG_S)
            assert caught.value.exit_code == {"crash": None, "leave": 3}[how]
        assert is_good(executor, name)

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(die_often, names))

    (runtime,) = folder.iterdir()
    assert len(list(runtime.iterdir())) == len(names)
    wait_until_nothing_is_left(before)
    assert sum(executor.status(name).starts for name in names) == 204


def test_closing_twice_is_quiet_and_leaves_nothing(
    run: Run, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = possessions()
    executor = run()
    assert is_good(executor)
    executor.close()
    executor.close()
    assert not list(folder.iterdir())
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
    wait_until_nothing_is_left(before)
    with pytest.raises(PluginUnavailable, match="is closed"):
        is_good(executor)


def test_closing_ends_a_call_under_way(run: Run, tmp_path: Path) -> None:
    executor = run()
    executor.start()
    with ThreadPoolExecutor(1) as pool:
        noted = tmp_path / "noted"
        call = pool.submit(
            executor.call,
            "chaos",
            "hang_noting",
            "with SIGTERM ignored",
            str(noted),
            timeout=1000,
        )
        wait_for_file(noted)
        begun = time.monotonic()
        executor.close()
        assert time.monotonic() - begun < CLOSE_S + LONG_S / 3
        with pytest.raises(PluginUnavailable, match="closed") as caught:
            call.result(LONG_S)
    assert caught.value.maybe_done


def test_closing_ends_a_start_under_way(run: Run, folder: Path) -> None:
    executor = run(starting("silent", start_timeout=1000))
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(executor.ping, "chaos", timeout=1000)
        while not executor.status("chaos").pid:
            assert not call.done()
        executor.close()
        with pytest.raises(PluginUnavailable, match="closed"):
            call.result(LONG_S)
    assert not list(folder.iterdir())


def test_an_interrupted_start_waits_for_no_plugin(
    run: Run, folder: Path
) -> None:
    """The trap: a pool waits for its threads, and these for slow plugins."""
    executor = run(starting("silent", start_timeout=1000))
    caller = threading.get_ident()

    def interrupt() -> None:
        while not executor.status("chaos").pid:
            pass
        signal.pthread_kill(caller, signal.SIGINT)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(interrupt)
        with pytest.raises(KeyboardInterrupt):
            executor.start(timeout=1000)
    executor.close()
    assert not list(folder.iterdir())


def test_closing_after_a_crash_is_quiet(run: Run) -> None:
    executor = run()
    with pytest.raises(PluginCrashed):
        executor.call("chaos", "crash", 1, timeout=LONG_S)
    executor.close()


def test_a_plugin_may_put_anything_in_the_place_of_its_socket(
    run: Run, folder: Path
) -> None:
    executor = run()
    assert is_good(executor)
    (path,) = folder.glob("*/*")
    path.unlink()
    path.mkdir()
    (path / "note").touch()
    executor.close()
    assert not list(folder.iterdir())


def test_the_runtime_folder_is_private(run: Run, folder: Path) -> None:
    executor = run()
    assert is_good(executor)
    (runtime,) = folder.iterdir()
    assert stat.S_IMODE(runtime.stat().st_mode) == 0o700


def test_a_folder_with_too_long_a_path_is_refused(folder: Path) -> None:
    long = folder / ("x" * 100)
    long.mkdir()
    with pytest.raises(ValueError, match="too long a path for sockets"):
        Executor([chaos()], runtime_base=long)
    assert not list(long.iterdir())


def test_a_kernel_without_pidfd_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_pid: int) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    with pytest.raises(linux.Unsupported, match="came with Linux"):
        Executor([])


def test_a_host_that_ignores_its_children_is_refused() -> None:
    """The trap: the kernel then forgets how they ended (wait(2), NOTES)."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with pytest.raises(linux.Unsupported, match="ignores SIGCHLD"):
            Executor([])
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_plugin_gets_no_more_of_the_environment_than_it_needs(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "of the host")
    executor = run(chaos(env={"GREETING": "hello"}))
    env = executor.call("chaos", "environment", timeout=LONG_S)
    assert env["GREETING"] == "hello"
    assert "PATH" in env
    assert "SECRET" not in env


def test_a_plugins_process_loads_nothing_of_the_host(
    start: Callable[..., Program],
) -> None:
    """The trap: what a package's `__init__` imports, both sides pay for."""
    plugin = start(
        "plugin_system.samples.text", env={"PYTHONPROFILEIMPORTTIME": "1"}
    )
    assert plugin.wait() == 0, plugin.stderr
    loaded = set(re.findall(r"\| +([\w.]+)", plugin.stderr))
    assert {name for name in loaded if "plugin_system" in name} == {
        *("plugin_system", "plugin_system.samples"),
        *("plugin_system.sdk", "plugin_system.values"),
        "plugin_system.messages_pb2",
    }
    assert not loaded & {"logging", "selectors", "subprocess"}


@pytest.mark.slow
def test_limits_hold_and_their_breach_has_a_name(run: Run) -> None:
    executor = run(
        chaos("small", limits={"RLIMIT_AS": 800_000_000}),
        chaos("brief", limits={"RLIMIT_CPU": 1}),
    )
    with pytest.raises(PluginError, match="MemoryError"):
        executor.call("small", "allocate", 2_000_000_000, timeout=LONG_S)
    assert is_good(executor, "small")
    with pytest.raises(PluginCrashed) as caught:
        executor.call(
            "brief", "hang", "with the interpreter's lock", timeout=LONG_S
        )
    assert caught.value.signal_name in ("SIGXCPU", "SIGKILL")


def test_a_limit_that_the_host_cannot_give_is_named(run: Run) -> None:
    executor = run(chaos(limits={"RLIMIT_NOFILE": 2**62}))
    with pytest.raises(PluginCrashed, match="RLIMIT_NOFILE of 46116"):
        executor.ping("chaos", timeout=LONG_S)


def test_a_thread_that_the_system_refuses_is_told_before_any_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trap: a pool starts later what it could not start at first."""
    start = threading.Thread.start

    def refuse_the_spawner(thread: threading.Thread) -> None:
        if thread.name.startswith("plugin spawner"):
            raise RuntimeError("can't start new thread")
        start(thread)

    before = possessions()
    monkeypatch.setattr(threading.Thread, "start", refuse_the_spawner)
    with pytest.raises(RuntimeError, match="can't start"):
        Executor([chaos()], runtime_base=folder)
    assert not list(folder.iterdir())
    wait_until_nothing_is_left(before)


def test_a_flood_of_output_neither_blocks_nor_fills_memory(run: Run) -> None:
    executor = run()
    executor.call("chaos", "print_much", 5_000_000, timeout=LONG_S)
    assert is_good(executor)


def test_a_name_that_is_not_there_is_told_before_anything_is_sent(
    run: Run,
) -> None:
    executor = run()
    with pytest.raises(NoSuchPlugin, match="registered: chaos"):
        executor.call("ghost", "echo")
    with pytest.raises(NoSuchMethod, match="it has echo, ") as caught:
        executor.call("chaos", "ghost", timeout=LONG_S)
    assert not caught.value.maybe_done


@pytest.mark.parametrize("bad", [(1, 2), {1}, {1: 2}, object()])
def test_what_cannot_be_sent_is_refused_and_hurts_no_plugin(
    run: Run, bad: object
) -> None:
    executor = run()
    executor.start()
    with pytest.raises(TypeError, match="can be sent"):
        executor.call("chaos", "echo", bad, timeout=LONG_S)
    assert is_good(executor)
    assert executor.status("chaos").starts == 1


@pytest.mark.parametrize("bad", [0, -1, 1e7, float("inf"), float("nan")])
def test_a_timeout_that_is_none_is_refused(run: Run, bad: float) -> None:
    with pytest.raises(ValueError, match="timeout is above 0"):
        run().call("chaos", "echo", 1, timeout=bad)


def test_a_sweep_removes_no_folder_that_no_host_made(folder: Path) -> None:
    """The trap: everybody's folders lie in the temporary folder."""
    for name in ("plugins-mine", f"{PREFIX}mine"):
        mine = folder / name
        mine.mkdir()
        (mine / "greeter.toml").write_text('argv = ["python", "x.py"]')
        sweep(folder)
        assert (mine / "greeter.toml").exists()


def test_a_folder_that_goes_while_it_is_looked_at_stops_no_host(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = folder / f"{PREFIX}gone"
    monkeypatch.setattr(Path, "glob", lambda *_: [gone])
    sweep(folder)
