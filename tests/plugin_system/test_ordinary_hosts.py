"""What ordinary programs do around an executor: threads, forks, loggers."""

import copy
import logging
import os
import pickle
import shutil
import subprocess
import sys
import threading
import time
import zipapp
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin_system.errors import (
    CallError,
    PluginCrashed,
    PluginError,
    PluginTimeout,
    PluginUnavailable,
)
from plugin_system.executor import Executor
from plugin_system.registry import Registration
from tests.support import ROOT

SOURCE = """
from plugin_system.sdk import Plugin

class Group:
    plugin = Plugin(version="1")

plugin = Group.plugin

@plugin.method
def echo(value):
    return value

@plugin.method
def chat(lines):
    for number in range(lines):
        print("line", number)

@plugin.method
def environment():
    import os
    return [name for name in os.environ if "PATH" in name]

@plugin.method
def hang():
    import time
    time.sleep(60)

@plugin.method
def pid():
    import os
    return os.getpid()
"""


@pytest.fixture
def registration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Registration:
    (tmp_path / "ordinary.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return Registration("ordinary", target="ordinary:plugin")


@pytest.fixture
def executor(registration: Registration) -> Iterator[Executor]:
    with Executor([registration]) as executor:
        yield executor


PREFORK = """
import os, sys
from plugin_system import CallError, Executor, Registration

made = [Registration("ordinary", target="ordinary:plugin")]
parents = Executor(made)  # as with --preload
parents.call("ordinary", "echo", 0)


def work():
    try:
        parents.call("ordinary", "echo", 1)
    except CallError:
        own = Executor(made)
        for number in range(250):
            assert own.call("ordinary", "echo", number) == number
        pid = own.call("ordinary", "pid")
        os.write(1, b"%d\\n" % pid)  # at once, as four write to one pipe
        sys.exit(0)


workers = []
for _ in range(4):
    if not (worker := os.fork()):
        work()
    workers.append(worker)
assert {os.waitpid(worker, 0)[1] for worker in workers} == {0}
print(parents.call("ordinary", "pid"))
"""


@pytest.mark.slow
def test_a_server_of_forked_workers_leaves_no_stray_process(
    registration: Registration, tmp_path: Path
) -> None:
    assert registration.target
    done = subprocess.run(
        # Python 3.12 and newer warn of a fork in a program with threads.
        [sys.executable, "-W", "ignore:This process", "-c", PREFORK],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    pids = done.stdout.split()
    assert len(set(pids)) == 5
    assert not [pid for pid in pids if Path("/proc", pid).exists()]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_in_the_thread_that_starts_a_plugin_is_no_deadlock(
    executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As gevent does, whose Popen forks in Python."""
    open_pidfd = os.pidfd_open

    def fork_first(pid: int) -> int:
        if not (child := os.fork()):
            os._exit(0)
        os.waitpid(child, 0)
        return open_pidfd(pid)

    monkeypatch.setattr(os, "pidfd_open", fork_first)
    assert executor.call("ordinary", "echo", 1) == 1


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_gets_an_error_and_takes_nothing_away(
    executor: Executor,
) -> None:
    """The trap: it killed the plugins of its parent, or span for ever."""
    assert executor.call("ordinary", "echo", 1) == 1
    pid = executor.status("ordinary").pid
    child = os.fork()
    if not child:
        code = 1
        try:
            executor.call("ordinary", "echo", 2, timeout=5)
        except PluginUnavailable:
            code = 0
        finally:
            executor.close()
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert executor.call("ordinary", "echo", 3) == 3
    assert executor.status("ordinary").pid == pid


@pytest.mark.parametrize(
    "error",
    [
        PluginTimeout("a", "no reply", maybe_done=True),
        PluginError("a", "ValueError", "no", "Traceback"),
        PluginUnavailable("a", "not now", retry_after=2.5),
        PluginCrashed(
            "a",
            "in b",
            exit_code=3,
            signal_name=None,
            stderr=["bye"],
            maybe_done=True,
        ),
    ],
)
def test_errors_survive_pickle_and_copy(error: CallError) -> None:
    for again in (
        pickle.loads(pickle.dumps(error)),  # noqa: S301 - our own bytes
        copy.copy(error),
        copy.deepcopy(error),
    ):
        assert type(again) is type(error)
        assert vars(again) == vars(error)
        assert str(again) == str(error)


class Blocked(logging.Handler):
    """A handler that waits, as one does that writes to a pager."""

    def __init__(self) -> None:
        super().__init__()
        self.freed = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        del record
        self.freed.wait(20)


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("plugin_system.plugin.ordinary")
    before = logger.level, logger.handlers[:], logger.filters[:]
    logger.setLevel(logging.INFO)
    yield logger
    logger.setLevel(before[0])
    logger.handlers[:], logger.filters[:] = before[1:]


def test_a_log_handler_that_blocks_delays_no_deadline(
    executor: Executor, logger: logging.Logger
) -> None:
    handler = Blocked()
    logger.addHandler(handler)
    executor.call("ordinary", "chat", 50)
    began = time.monotonic()
    with pytest.raises(PluginTimeout):
        executor.call("ordinary", "hang", timeout=1.0)
    assert time.monotonic() - began < 6.0
    handler.freed.set()


def test_a_log_filter_that_raises_ends_no_reader_and_no_call(
    executor: Executor, logger: logging.Logger
) -> None:
    def broken(record: logging.LogRecord) -> bool:
        raise KeyError(record.name)

    logger.addFilter(broken)
    for _ in range(3):
        executor.call("ordinary", "chat", 5_000)
    assert executor.call("ordinary", "echo", 1) == 1


def test_a_plugin_inherits_no_path_of_the_hosts_modules(
    executor: Executor,
) -> None:
    """The trap: a tool of another Python that it runs would take them."""
    names = executor.call("ordinary", "environment")
    assert "PYTHONPATH" not in names
    assert "PLUGIN_SYS_PATH" not in names


def test_an_entry_point_may_name_an_attribute_of_an_object(
    registration: Registration,
) -> None:
    nested = Registration("nested", target="ordinary:Group.plugin")
    with Executor([registration, nested]) as executor:
        assert executor.call("nested", "echo", 1) == 1


def test_a_host_in_a_zip_says_that_it_can_start_no_plugin(
    tmp_path: Path,
) -> None:
    """The trap: Python starts the zip again, and that starts it again."""
    app = tmp_path / "app"
    app.mkdir()
    shutil.copytree(ROOT / "plugin_system", app / "plugin_system")
    (app / "__main__.py").write_text(
        "from plugin_system.executor import Executor\n"
        "from plugin_system.errors import CallError\n"
        "from plugin_system.registry import Registration\n"
        "with Executor([Registration('a', target='a:b')]) as executor:\n"
        "    try:\n"
        "        executor.call('a', 'b')\n"
        "    except CallError as error:\n"
        "        print(error)\n"
    )
    zipapp.create_archive(app, tmp_path / "app.pyz")
    done = subprocess.run(
        [sys.executable, tmp_path / "app.pyz"],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert "no Python here that could run a plugin" in done.stdout
