"""The life of an executor and its plugins, in hosts that are not tidy."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from plugin_system.errors import (
    CallError,
    PluginCrashed,
    PluginError,
    PluginProtocolError,
    PluginTimeout,
    PluginUnavailable,
)
from plugin_system.executor import Executor
from plugin_system.host.incarnation import Incarnation
from plugin_system.registry import Registration
from tests.support import ROOT

from .conftest import LONG_S, Run, chaos, is_good
from .test_hygiene import possessions, wait_until_nothing_is_left

PLUGIN = """
import atexit, os, signal, subprocess, sys, threading, time
from plugin_system.sdk import Plugin

plugin = Plugin()
atexit.register(lambda: open("left", "w").close())


class Panic(BaseException):
    pass


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no text")


@plugin.method
def leave(how):
    if how == "KeyboardInterrupt":
        raise KeyboardInterrupt
    sys.exit(how)


@plugin.method
def leave_late(seconds):
    atexit.register(time.sleep, seconds)


@plugin.method
def panic(how):
    raise {"panic": Panic("panic"), "unprintable": Unprintable()}[how]


@plugin.method
def ask():
    return subprocess.run(["cat"], capture_output=True).stdout + (
        sys.stdin.read().encode())


@plugin.method
def mask():
    return sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, [])))


@plugin.method
def echo(value):
    return value


@plugin.method
def hang():
    time.sleep(1000)


if __name__ == "__main__":
    plugin.serve()
"""
HOST = """
import atexit, os, pathlib, signal, sys, threading, time, warnings
from plugin_system.errors import *
from plugin_system.executor import Executor
from plugin_system.registry import Registration

def make():
    made = Executor(
        [Registration(
            "tidy", argv=("python", "tidy.py"), folder=pathlib.Path(),
            leave_timeout=10.0)],  # a busy machine takes more than 0.5
        runtime_base=pathlib.Path("run"))
    assert made.call("tidy", "echo", 1) == 1
    return made


executor = make()
"""


@pytest.fixture
def tidy(folder: Path) -> Registration:
    (folder / "tidy.py").write_text(PLUGIN)
    return Registration("tidy", argv=("python", "tidy.py"), folder=folder)


def host(folder: Path, code: str) -> str:
    """Run a host to its end; return what it printed."""
    (folder / "run").mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", HOST + code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert not list((folder / "run").iterdir())
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("tidy")
@pytest.mark.parametrize(
    "code",
    [
        "",  # nobody closes it: the end of the program does
        "atexit.register(executor.close)\n"
        "atexit.register(lambda: executor.call('tidy', 'echo', 2))",
        "signal.signal(signal.SIGALRM, lambda *_: executor.close())\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.001); executor.close()",
        "threading.Thread(target=lambda: (\n"
        "    threading.main_thread().join(),\n"
        "    executor.call('tidy', 'echo', 2), executor.close())).start()",
        # A worker of a pool: multiprocessing ends it without atexit.
        "executor.close(); os.unlink('left')\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from multiprocessing import get_context\n"
        "def work():\n"
        "    global executor; executor = make()\n"
        "with ProcessPoolExecutor(1, get_context('fork')) as pool:\n"
        "    pool.submit(work).result()",
    ],
)
def test_plugins_leave_in_order_however_the_host_ends(
    folder: Path, code: str
) -> None:
    """The trap: they were killed, and their own atexit never ran."""
    assert host(folder, code) == ""
    assert (folder / "left").exists()


@pytest.mark.usefixtures("tidy")
@pytest.mark.parametrize("how", ["always", "error"])
def test_an_executor_that_is_dropped_warns_and_cleans_up(
    folder: Path, how: str
) -> None:
    code = f"warnings.simplefilter({how!r})\n"
    said = host(folder, code + "del executor; print(os.listdir('run'))")
    assert "ResourceWarning: an executor was dropped" in said
    assert "[]" in said
    assert (folder / "left").exists()


@pytest.mark.usefixtures("tidy")
def test_what_a_forked_child_keeps_open_delays_no_plugin(
    folder: Path,
) -> None:
    """The trap: it held the other end of their stdin, so none saw its end."""
    host(
        folder,
        "ours, theirs = os.pipe()\n"
        "if not (child := os.fork()):\n"
        "    os.close(theirs); os.read(ours, 1); os._exit(0)\n"
        "began = time.monotonic(); executor.close()\n"
        "assert time.monotonic() - began < 0.9\n"
        "assert threading.active_count() == 1\n"
        "left = os.path.exists('left')\n"
        "os.close(theirs); os.waitpid(child, 0)\n"
        "sys.exit(0 if left else 'killed')",
    )


@pytest.mark.usefixtures("tidy")
def test_a_child_that_leaves_the_with_block_takes_nothing_away(
    folder: Path,
) -> None:
    host(
        folder,
        "pid = executor.status('tidy').pid\n"
        "for _ in range(3):\n"
        "    with executor if not (child := os.fork()) else warnings."
        "catch_warnings():\n"
        "        if not child: sys.exit(0)\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "assert executor.call('tidy', 'echo', 2) == 2\n"
        "assert executor.status('tidy').pid == pid",
    )


def test_close_in_a_signal_handler_during_a_call_of_the_same_thread(
    tidy: Registration, folder: Path
) -> None:
    """The trap: it waited for the call, and the call for it."""
    executor = Executor([tidy], runtime_base=folder)
    executor.call("tidy", "echo", 1)
    before = signal.signal(signal.SIGALRM, lambda *_: executor.close())
    began = time.monotonic()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(PluginUnavailable, match="closed") as caught:
            executor.call("tidy", "hang", timeout=LONG_S)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert caught.value.maybe_done
    assert time.monotonic() - began < LONG_S / 3
    assert [each.name for each in folder.iterdir()] == ["tidy.py"]


def test_a_call_in_a_signal_handler_does_not_wait_for_the_one_under_it(
    run: Run,
) -> None:
    executor = run()
    executor.start()
    errors: list[CallError] = []

    def handler(*_: object) -> None:
        with pytest.raises(PluginUnavailable, match="handler") as caught:
            executor.call("chaos", "echo", 1, timeout=LONG_S)
        errors.append(caught.value)

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(PluginTimeout):
            executor.call("chaos", "hang", "asleep", timeout=0.4)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert len(errors) == 1


@pytest.mark.slow
@pytest.mark.parametrize("closes", [True, False])
@pytest.mark.parametrize("started", [True, False])
def test_a_signal_may_strike_at_any_moment(
    folder: Path, in_c: Registration, closes: bool, started: bool
) -> None:
    """The trap: a process that was born in this moment belonged to nobody,

    and a turn that was taken in this moment was never given back.
    """
    possessions()
    before = possessions()

    strikes: list[float] = []

    def handler(*_: object) -> None:
        strikes.append(time.monotonic())
        if not closes:
            raise KeyboardInterrupt
        executor.close()

    old = signal.signal(signal.SIGALRM, handler)
    try:
        for number in range(10):
            strikes.clear()
            with Executor([in_c], runtime_base=folder) as executor:
                if started:
                    executor.start()
                after = 0.001 + number * (0.0003 if started else 0.002)
                with pytest.raises((PluginUnavailable, KeyboardInterrupt)):
                    # Again later: without it, a strike that is lost would
                    # let this loop run for ever.
                    signal.setitimer(signal.ITIMER_REAL, after, LONG_S / 3)
                    while True:
                        executor.call("c", "echo", 1, timeout=LONG_S)
                signal.setitimer(signal.ITIMER_REAL, 0)
                assert len(strikes) == 1, "the first one was lost"
                began = time.monotonic()
            assert time.monotonic() - began < 2
            assert not list(folder.iterdir())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    wait_until_nothing_is_left(before)


def test_a_handler_that_closes_right_after_a_reply_costs_no_reply(
    folder: Path, in_c: Registration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trap: the plugin was gone between two looks at it."""
    has_ended = vars(Incarnation)["ended"].fget

    def ended(incarnation: Incarnation) -> bool:
        signal.raise_signal(signal.SIGALRM)
        return bool(has_ended(incarnation))

    old = signal.signal(signal.SIGALRM, lambda *_: executor.close())
    try:
        with Executor([in_c], runtime_base=folder) as executor:
            executor.start()
            monkeypatch.setattr(Incarnation, "ended", property(ended))
            assert executor.call("c", "echo", 1, timeout=LONG_S) == 1
            with pytest.raises(PluginUnavailable, match="closed"):
                executor.call("c", "echo", 2, timeout=LONG_S)
    finally:
        signal.signal(signal.SIGALRM, old)
    assert not list(folder.iterdir())


def test_close_in_a_handler_during_a_restart_is_finished_by_it(
    tidy: Registration, folder: Path
) -> None:
    executor = Executor([replace(tidy, leave_timeout=5)], runtime_base=folder)
    executor.call("tidy", "leave_late", 0.5)
    before = signal.signal(signal.SIGALRM, lambda *_: executor.close())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(PluginUnavailable, match="closed"):
            executor.restart("tidy", timeout=LONG_S)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert [each.name for each in folder.glob("zmq*")] == []


@pytest.mark.slow
def test_an_orderly_end_may_take_as_long_as_its_grace(
    run: Run, tidy: Registration
) -> None:
    """The trap: after a second it was blamed for a breach of protocol."""
    executor = run(replace(tidy, leave_timeout=LONG_S))
    executor.call("tidy", "leave_late", 1.2)
    with pytest.raises(PluginCrashed, match="exit code 3"):
        executor.call("tidy", "leave", 3, timeout=LONG_S)


@pytest.mark.parametrize(
    ("how", "code", "number", "words"),
    [
        (3, 3, None, "exit code 3"),
        ("licence expired", 1, None, "it said: licence expired"),
        ("KeyboardInterrupt", None, "SIGINT", "it said: KeyboardInterrupt"),
    ],
)
def test_an_orderly_end_is_a_crash_with_its_code_and_last_words(
    run: Run,
    tidy: Registration,
    how: object,
    code: int | None,
    number: str | None,
    words: str,
) -> None:
    executor = run(tidy)
    with pytest.raises(PluginCrashed, match=words) as caught:
        executor.call("tidy", "leave", how, timeout=LONG_S)
    assert (caught.value.exit_code, caught.value.signal_name) == (
        *(code, number),
    )


@pytest.mark.parametrize("how", ["panic", "unprintable"])
def test_what_a_method_raises_is_its_error_and_it_lives_on(
    run: Run, tidy: Registration, how: str
) -> None:
    executor = run(tidy)
    with pytest.raises(PluginError, match=f"(?i){how}"):
        executor.call("tidy", "panic", how, timeout=LONG_S)
    assert executor.call("tidy", "echo", 1) == 1
    assert executor.status("tidy").starts == 1


def test_a_program_that_ends_its_context_and_then_itself_has_crashed(
    run: Run, folder: Path
) -> None:
    """As a C program does that calls zmq_ctx_term before exit."""
    (folder / "plug.py").write_text(
        "import os, sys, time, zmq\n"
        "from plugin_system.messages_pb2 import PluginReady\n"
        "context = zmq.Context(); socket = context.socket(zmq.REP)\n"
        "socket.bind(os.environ['PLUGIN_ENDPOINT'])\n"
        "ready = PluginReady(magic='beyond-http plugin', protocol_min=1,\n"
        "    protocol_max=1, methods=[{'name': 'x'}]).SerializeToString()\n"
        "with os.fdopen(int(os.environ['PLUGIN_READY_FD']), 'wb') as pipe:\n"
        "    pipe.write(len(ready).to_bytes(4, 'big') + ready)\n"
        "socket.recv(); socket.close(0); context.term()\n"
        "time.sleep(0.2); sys.exit(7)\n"
    )
    executor = run(
        Registration("plug", argv=("python", "plug.py"), folder=folder)
    )
    with pytest.raises(PluginCrashed, match="exit code 7 in x"):
        executor.call("plug", "x", timeout=LONG_S)


@pytest.mark.slow
def test_a_process_that_broke_its_connection_is_waited_for_no_longer_than(
    run: Run,
) -> None:
    """The deadline: whether it was going to end is not known then."""
    executor = run(chaos(), chaos("patient", leave_timeout=LONG_S))
    executor.start()
    began = time.monotonic()
    with pytest.raises(PluginTimeout):
        executor.call("patient", "lie", "raw bytes", timeout=0.3)
    assert time.monotonic() - began < LONG_S / 3
    with pytest.raises(PluginProtocolError, match="broke the connection"):
        executor.call("chaos", "lie", "raw bytes", timeout=LONG_S)


def by_handler() -> Callable[[], object]:
    def reap(*_: object) -> None:
        while True:
            try:
                if not os.waitpid(-1, os.WNOHANG)[0]:
                    return
            except ChildProcessError:
                return

    before = signal.signal(signal.SIGCHLD, reap)
    return lambda: signal.signal(signal.SIGCHLD, before)


def by_thread() -> Callable[[], object]:
    done = threading.Event()

    def reap() -> None:
        while not done.wait(0.0005):
            try:
                os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                continue

    thread = threading.Thread(target=reap)
    thread.start()

    def stop() -> None:
        done.set()
        thread.join()

    return stop


def by_kernel() -> Callable[[], object]:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    return lambda: signal.signal(signal.SIGCHLD, before)


@pytest.mark.slow
@pytest.mark.parametrize("reaper", [by_handler, by_thread, by_kernel])
def test_a_host_that_reaps_all_children_gets_typed_answers(
    run: Run,
    reaper: Callable[[], Callable[[], object]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The trap: a bare FileNotFoundError, an exit code 0 that was none, and

    a signal to a number that somebody else may have by now.
    """
    executor = run()
    executor.start()
    numbers: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, _: numbers.append(pid))
    stop = reaper()
    try:
        for _ in range(5):
            with pytest.raises(PluginCrashed) as caught:
                executor.call("chaos", "crash", 3, timeout=LONG_S)
            assert caught.value.exit_code in (3, None)
            assert caught.value.signal_name is None
            with pytest.raises(PluginTimeout):
                executor.call("chaos", "hang", "asleep", timeout=0.1)
            assert is_good(executor)
        executor.close()
    finally:
        stop()
    assert not numbers


def test_what_the_system_refuses_amid_a_call_is_an_error_of_ours(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = run()
    executor.start()

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("plugin_system.call.Caller.exchange", refuse)
    with pytest.raises(PluginUnavailable, match="can't start") as caught:
        is_good(executor)
    assert caught.value.maybe_done
    monkeypatch.undo()
    assert is_good(executor)


def test_a_method_and_its_children_find_stdin_at_its_end(
    run: Run, tidy: Registration
) -> None:
    """The trap: both waited for what the host never writes."""
    assert run(tidy).call("tidy", "ask", timeout=5) == b""


def test_a_plugin_starts_with_no_signal_blocked(
    run: Run, tidy: Registration
) -> None:
    blocked = [signal.SIGINT, signal.SIGTERM]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    try:
        assert run(tidy).call("tidy", "mask", timeout=LONG_S) == []
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class Slow(logging.Handler):
    """Blocks for six seconds, or until it is freed, a line."""

    def __init__(self) -> None:
        super().__init__()
        self.freed = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        del record
        self.freed.wait(6)


@pytest.fixture
def slow() -> Iterator[Slow]:
    handler, logger = Slow(), logging.getLogger("plugin_system")
    logger.addHandler(handler)
    before = logger.level
    logger.setLevel(logging.INFO)
    yield handler
    logger.setLevel(before)
    logger.removeHandler(handler)
    handler.freed.set()


@pytest.mark.usefixtures("slow")
def test_our_own_warnings_wait_for_no_handler_either(run: Run) -> None:
    executor = run()
    executor.start()
    began = time.monotonic()
    for _ in range(2):
        with pytest.raises(PluginCrashed):
            executor.call("chaos", "crash", 3, timeout=LONG_S)
    assert time.monotonic() - began < 5.5


def test_a_handler_may_call_the_executor_and_may_raise_anything(
    run: Run,
) -> None:
    """The trap: a deadlock, also of `close`; or the end of the thread."""
    executor = run(chaos("a"), chaos("b"))
    executor.start()
    answers: list[object] = []
    logger = logging.getLogger("plugin_system.plugin.a")

    class Calling(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            answers.append(executor.call("a", "echo", record.getMessage()))
            raise SystemExit

    handler = Calling()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        for _ in range(3):
            executor.call("a", "print_much", 15, timeout=LONG_S)
        deadline = time.monotonic() + LONG_S
        while len(answers) < 6:
            assert time.monotonic() < deadline, answers
    finally:
        logger.removeHandler(handler)


@pytest.mark.slow
def test_a_flood_of_lines_costs_neither_the_deadline_nor_the_log(
    run: Run, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The trap: a deadline of 1 s was met after 11 to 23 s."""
    (folder / "flood.py").write_text(
        "import fcntl, os, time\n"
        "from plugin_system.sdk import Plugin\n"
        "plugin = Plugin()\n"
        "@plugin.method\n"
        "def flood():\n"
        "    for fd in (1, 2):\n"
        "        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, 2 ** 20)\n"
        "    while True:\n"
        "        for fd in (1, 2):\n"
        "            os.write(fd, b'\\n' * 2 ** 16)\n"
        "plugin.serve()\n"
    )
    caplog.set_level("INFO", "plugin_system.plugin.flood")
    executor = run(
        Registration("flood", argv=("python", "flood.py"), folder=folder)
    )
    executor.start()
    began = time.monotonic()
    with pytest.raises(PluginTimeout):
        executor.call("flood", "flood", timeout=1.0)
    assert time.monotonic() - began < 5.0
    executor.close()
    assert len(caplog.messages) < 10_000
    assert any("lines more" in message for message in caplog.messages)


def test_escapes_reach_neither_log_nor_sentence(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    evil = "\x1b]0;title\x07 \x9b2J"
    executor = run(chaos())
    with pytest.raises(CallError) as caught:
        executor.call("chaos", "fail", evil, timeout=LONG_S)
    assert "\\x1b]0;title\\x07 \\x9b2J" in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert "\x1b" not in caplog.text


def test_a_line_tells_which_call_printed_it(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "plugin_system.plugin.chaos")
    executor = run()
    for _ in range(2):
        executor.call("chaos", "print_much", 15, timeout=LONG_S)
    executor.close()
    lines = [vars(each) for each in caplog.records]
    ids = {line["call_id"] for line in lines}
    assert len(ids) == 2
    assert 0 not in ids
    assert {line["plugin"] for line in lines} == {"chaos"}
