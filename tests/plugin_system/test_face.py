"""What a host's and a plugin's author see, and what a plugin is handed."""

import asyncio
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import plugin_system
from plugin_system import Executor, Plugin, PluginError, Registration
from plugin_system.errors import (
    IncompatiblePlugin,
    PluginCrashed,
    PluginTimeout,
    PluginUnavailable,
)
from plugin_system.host import linux
from plugin_system.registry import read
from tests.support import ROOT, Program

from .conftest import LONG_S, Run, chaos, is_good
from .test_host_death import wait_for_file
from .test_outcomes import wait_until_gone

PLUGIN = """
import os, subprocess, sys, time
from plugin_system import Plugin

plugin = Plugin(version=open(os.environ.get("VERSION", "/dev/null")).read())


@plugin.method
def add(a, b=0, *, times=1):
    return (a + b) * times


@plugin.method
def look():
    return {"path": sys.path, "env": dict(os.environ), "argv": sys.argv,
            "name": __name__}


@plugin.method
def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True).stdout


@plugin.method
def nap(seconds, path=""):
    if path:
        open(path, "w").close()
    time.sleep(seconds)


@plugin.on_leave
def last():
    time.sleep(0.7)
    open("left", "w").write("in order")


if __name__ == "__main__":
    plugin.serve()
"""


@pytest.fixture
def plain(folder: Path) -> Registration:
    (folder / "plain.py").write_text(PLUGIN)
    return Registration("plain", argv=("python", "plain.py"), folder=folder)


def test_all_that_a_host_needs_comes_from_the_package() -> None:
    for name in plugin_system.__all__:
        assert getattr(plugin_system, name).__name__ == name
    with pytest.raises(AttributeError, match="no nothing"):
        _ = plugin_system.nothing


def test_the_face_costs_nothing_before_it_is_used() -> None:
    """`--help` imports the package, and should be there at once."""
    code = (
        "import sys, plugin_system, plugin_system.__main__\n"
        "print({'zmq', 'plugin_system.executor', 'plugin_system.sdk'}\n"
        "      & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=True,
    )
    assert done.stdout == "set()\n"


def test_arguments_may_be_given_by_name(
    run: Run, plain: Registration
) -> None:
    executor = run(plain)
    assert executor.call("plain", "add", 1, b=2, times=3, timeout=LONG_S) == 9
    with pytest.raises(PluginError, match=r"unexpected keyword.*colour"):
        executor.call("plain", "add", 1, colour="red", timeout=LONG_S)
    with pytest.raises(TypeError, match="can be sent"):
        executor.call("plain", "add", 1, b=(1, 2), timeout=LONG_S)


def test_futures_come_true_side_by_side_and_in_turns(run: Run) -> None:
    executor = run(chaos("a"), chaos("b"))
    futures = [
        executor.submit(name, "echo", number, timeout=LONG_S)
        for number in range(10)
        for name in ("a", "b")
    ]
    wait(futures, LONG_S)
    assert [each.result() for each in futures] == [
        number for number in range(10) for _ in "ab"
    ]
    failed = executor.submit("a", "fail", "no", timeout=LONG_S)
    assert isinstance(failed.exception(LONG_S), PluginError)


@pytest.mark.slow
def test_a_future_that_waits_can_be_cancelled_and_is_never_sent(
    run: Run, plain: Registration, folder: Path
) -> None:
    executor = run(plain)
    first = executor.submit(
        "plain", "nap", 1, str(folder / "first"), timeout=LONG_S
    )
    wait_for_file(folder / "first")
    second = executor.submit(
        "plain", "nap", 0, str(folder / "second"), timeout=LONG_S
    )
    assert second.cancel()
    assert not first.cancel()
    assert first.result(LONG_S) is None
    assert executor.call("plain", "add", 1, timeout=LONG_S) == 1
    assert not (folder / "second").exists()


@pytest.mark.slow
def test_a_cancelled_call_holds_its_plugin_no_longer_than_its_deadline(
    run: Run, plain: Registration
) -> None:
    """The trap: asyncio.wait_for(to_thread(call)) leaves it to the end."""
    executor = run(plain)
    executor.start()

    async def give_up() -> None:
        call = executor.submit("plain", "nap", 1000, timeout=1.0)
        await asyncio.wait_for(asyncio.wrap_future(call), 0.2)

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    assert executor.call("plain", "add", 1, timeout=LONG_S) == 1
    assert executor.status("plain").starts == 2


@pytest.mark.slow
def test_a_future_that_waits_too_long_says_so_in_time(
    run: Run, tmp_path: Path
) -> None:
    executor, noted = run(), tmp_path / "noted"
    executor.start()
    hang = ("chaos", "hang_noting", "asleep", str(noted))
    first = executor.submit(*hang, timeout=LONG_S)
    wait_for_file(noted)
    second = executor.submit("chaos", "echo", 1, timeout=0.2)
    began = time.monotonic()
    with pytest.raises(PluginTimeout, match="other calls"):
        second.result(LONG_S)
    assert time.monotonic() - began < 1.5
    assert not first.done()


@pytest.mark.slow
def test_stop_ends_one_plugin_in_order_and_restart_takes_its_new_code(
    run: Run, plain: Registration, folder: Path
) -> None:
    (folder / "version").write_text("1")
    env = {"VERSION": "version"}
    executor = run(replace(plain, leave_timeout=10.0, env=env), chaos())
    executor.start()
    pid = executor.status("plain").pid
    executor.stop("plain", timeout=LONG_S)
    assert (folder / "left").read_text() == "in order"
    assert executor.status("plain").state == "stopped"
    assert executor.call("plain", "add", 1, timeout=LONG_S) == 1
    assert executor.status("plain").version == "1"
    (folder / "version").write_text("2")
    executor.restart("plain", timeout=LONG_S)
    assert executor.status("plain").version == "2"
    assert executor.status("plain").pid != pid
    assert executor.status("chaos").starts == 1


def test_restart_gives_a_plugin_another_chance(
    run: Run, plain: Registration, folder: Path
) -> None:
    good = (folder / "plain.py").read_text()
    (folder / "plain.py").write_text("print('no plugin')")
    executor = run(plain)
    with pytest.raises(IncompatiblePlugin):
        executor.ping("plain", timeout=LONG_S)
    (folder / "plain.py").write_text(good)
    executor.restart("plain", timeout=LONG_S)
    assert executor.call("plain", "add", 1, timeout=LONG_S) == 1


def test_what_ends_without_its_grace_is_killed(
    run: Run, plain: Registration, folder: Path
) -> None:
    executor = run(plain)
    executor.start()
    executor.stop("plain", timeout=LONG_S)  # its hook takes 0.7 s of 0.5
    assert not (folder / "left").exists()


@pytest.mark.parametrize("bad", [None, "5", 0])
def test_a_timeout_that_is_no_time_is_refused_where_it_is_written(
    run: Run, bad: Any
) -> None:
    with pytest.raises(ValueError, match="timeout is above 0"):
        run().submit("chaos", "echo", 1, timeout=bad)


async def coroutine() -> None: ...


def generator() -> Any:
    yield


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        (coroutine, TypeError, "coroutine is async or a generator"),
        (generator, TypeError, "generator is async or a generator"),
        (partial(print), TypeError, "no name to be called by"),
        (lambda: 1, ValueError, "two methods have the name <lambda>"),
    ],
)
def test_a_method_that_nobody_can_call_is_refused_where_it_is_written(
    function: Callable[..., Any], kind: type[Exception], message: str
) -> None:
    plugin = Plugin()
    plugin.method(lambda: 0)
    with pytest.raises(kind, match=message):
        plugin.method(function)


def test_what_the_host_can_import_its_plugins_can_and_no_one_else(
    run: Run,
    plain: Registration,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The trap: another Python that a plugin ran took the host's modules."""
    odd = folder / "with:colon"
    odd.mkdir()
    (odd / "only_here.py").write_text("")
    monkeypatch.setattr(sys, "path", [*sys.path, str(odd), odd, ""])
    executor = run(
        plain, replace(plain, name="m", argv=("python", "-m", "plain"))
    )
    for name in ("plain", "m"):
        seen = executor.call(name, "look", timeout=LONG_S)
        assert str(odd) in seen["path"]
        assert seen["path"][0] == str(folder.resolve())
        assert seen["name"] == "__main__"
        assert not {"PYTHONPATH", "PLUGIN_SYS_PATH"} & set(seen["env"])
        assert not [key for key in seen["env"] if key.startswith("PLUGIN_")]
    code = "import sys; print([p for p in sys.path if 'colon' in p])"
    said = executor.call("plain", "run", sys.executable, "-c", code)
    assert said == "[]\n"


def test_a_plugin_gets_what_its_registration_passes_on(
    run: Run,
    plain: Registration,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/certificates")
    monkeypatch.setenv("SECRET", "of the host")
    monkeypatch.syspath_prepend(str(folder))
    (folder / "named.toml").write_text(
        'target = "plain:plugin [extra]"\npass_env = ["SSL_CERT_FILE"]\n'
    )
    executor = run(
        replace(plain, pass_env=("SSL_CERT_FILE", "NOT_SET")),
        read(folder / "named.toml"),
    )
    for name in ("plain", "named"):
        env = executor.call(name, "look", timeout=LONG_S)["env"]
        assert env["SSL_CERT_FILE"] == "/certificates"
        assert "SECRET" not in env


@pytest.mark.parametrize("executable", [None, ""])
def test_a_host_without_a_python_says_so(
    run: Run, monkeypatch: pytest.MonkeyPatch, executable: str | None
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    with pytest.raises(PluginUnavailable, match="no Python here"):
        is_good(run())


def test_a_host_whose_own_folder_was_removed_calls_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.syspath_prepend("")
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert is_good(run())
    monkeypatch.undo()


def test_a_name_that_two_plugins_have_is_refused() -> None:
    """The trap: the second took the place of the first."""
    with pytest.raises(ValueError, match="have one name"):
        Executor([chaos(), chaos()])


def test_a_frozen_host_does_not_start_itself_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(PluginUnavailable, match="no Python here"):
        is_good(run())


def test_a_module_that_is_host_and_plugin_at_once_is_no_fork_bomb(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trap: each plugin's process made an executor, and so on."""
    (folder / "both.py").write_text(
        "from plugin_system import Executor, Plugin, Registration\n"
        "plugin = Plugin()\n"
        "plugin.method(print)\n"
        "Executor([Registration('both', 'both:plugin')]).call('both', "
        "'print')\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    executor = run(Registration("both", "both:plugin"))
    with pytest.raises(PluginCrashed, match="about to become a plugin"):
        executor.call("both", "print", timeout=LONG_S)
    monkeypatch.setenv("PLUGIN_ENDPOINT", "ipc:///no")
    with pytest.raises(linux.Unsupported, match="about to become a plugin"):
        Executor([])


def test_a_plugin_behind_a_wrapper_dies_with_the_host(
    start: Callable[..., Program], folder: Path, plain: Registration
) -> None:
    """The trap: only the wrapper died, and a hang in C went on for ever."""
    del plain
    (folder / "host.py").write_text(
        "import pathlib\n"
        "from plugin_system import Executor, Registration\n"
        "argv = ('sh', '-c', 'python3 plain.py; exit 0')\n"
        "argv = ('sh', '-c', f'{__import__(\"sys\").executable} plain.py; "
        "exit 0')\n"
        "here = pathlib.Path(__file__).parent\n"
        "wrapped = Registration('wrapped', argv=argv, folder=here,\n"
        f"    env={{'PYTHONPATH': {str(ROOT)!r}}})\n"
        "with Executor([wrapped], runtime_base=here) as executor:\n"
        "    pid = executor.call('wrapped', 'run', 'sh', '-c', "
        "'echo $PPID', timeout=20)\n"
        "    print('pid', pid, flush=True)\n"
        "    executor.call('wrapped', 'nap', 1000, 'noted', timeout=1000)\n"
    )
    host = start(sys.executable, str(folder / "host.py"))
    pid = int(host.wait_for(r"pid (\d+)").group(1))
    wait_for_file(folder / "noted")
    host.process.kill()
    wait_until_gone(pid)


def test_a_socket_folder_that_vanished_is_made_anew(
    run: Run, folder: Path
) -> None:
    """As a logout takes /run/user/UID away, under a service that goes on."""
    executor = run(chaos("a"), chaos("b"))
    executor.start()
    # Ready is not yet connected, and to connect takes the folder.
    assert is_good(executor, "a") and is_good(executor, "b")
    for each in folder.iterdir():
        shutil.rmtree(each)
    for name in ("a", "b"):
        assert is_good(executor, name)  # its connection is there
        executor.restart(name, timeout=LONG_S)
        assert is_good(executor, name)
    executor.close()
    assert not list(folder.iterdir())


def test_a_folder_where_others_may_put_theirs_is_refused(
    folder: Path,
) -> None:
    """The trap: somebody puts a folder of theirs in the place of ours."""
    shared = folder / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(PermissionError, match="no place for sockets"):
        Executor([], runtime_base=shared)
    shared.chmod(0o1777)
    Executor([], runtime_base=shared).close()


def test_a_runtime_directory_of_others_is_passed_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, own = folder / "shared", folder / "own"
    shared.mkdir()
    own.mkdir()
    shared.chmod(0o777)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(shared))
    monkeypatch.setattr("tempfile.tempdir", str(own))
    with Executor([]):
        assert not list(shared.iterdir())
        assert list(own.iterdir())


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_three_hundred_and_sixty_plugins_can_be_held(
    run: Run, in_c: Registration
) -> None:
    """The trap: no more than 341 of three sockets each, by default."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    try:
        names = [f"p{number}" for number in range(360)]
        executor = run(*(replace(in_c, name=name) for name in names))
        errors = executor.start(timeout=LONG_S)
        executor.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert errors == dict.fromkeys(names)
