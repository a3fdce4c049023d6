"""Plumbing for tests: bounded contexts, and real processes to be killed.

Nothing here sleeps and nothing here waits without a deadline. A test reads
a program's output with `wait_for`, which is how it knows that the program
is ready, and ends it with `signal` and `wait`, or by leaving the fixture.
"""

import fcntl
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import Popen
from typing import IO, NoReturn

import pytest
import zmq

from tests.zygote import Forked

ROOT = Path(__file__).resolve().parent.parent

# Long enough for a loaded machine: no test waits this long when it passes.
PATIENCE_S = 30.0


def terminate(context: "zmq.Context[zmq.Socket[bytes]]") -> None:
    """Terminate `context`; a socket left open fails instead of hanging.

    `zmq_ctx_term` waits until every socket is closed (libzmq documentation,
    zmq_ctx_term), so it runs in a thread that can be given up on. That one
    is then left alone: a second term beside it may abort the process.
    """
    ending = threading.Thread(target=context.term, daemon=True)
    ending.start()
    ending.join(timeout=PATIENCE_S / 3)
    if ending.is_alive():
        raise AssertionError("a socket of this context was never closed")


def skip_or_fail(reason: str) -> NoReturn:
    """Skip a test that cannot run here; in CI that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def needs(*commands: str) -> None:
    """Skip a test that lacks a command; in CI that is a failure."""
    missing = [name for name in commands if not shutil.which(name)]
    if missing:
        skip_or_fail(f"not installed: {', '.join(missing)}")


def made_once(
    factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]
) -> Path:
    """Return a folder that one worker of pytest-xdist makes for them all."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, made = base / name, base / f"{name} is made"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            made.touch()
    return folder


class Program:
    """A real process whose output is read line by line, with deadlines.

    `argv` starts with the name of a module of this repository, which runs
    with warnings as errors, or with the path of another program. The
    process leads a session of its own, so `close` also kills what it
    started. `within` is a command that runs it, such as `ip netns exec`. A
    `fresh` one is a Python that has just been started; others are forked.
    """

    def __init__(
        self,
        *argv: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        within: Sequence[str] = (),
        fresh: bool = False,
    ) -> None:
        said = env or {}
        env = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", **said}
        if (
            os.sep in argv[0]
            or within
            or fresh
            or any(key.startswith("PYTHON") for key in said)
        ):
            python = [sys.executable, "-W", "error", "-u", "-m"]
            self.process: Popen[bytes] | Forked = Popen(
                [*within, *(() if os.sep in argv[0] else python), *argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=env,
                cwd=cwd,
                start_new_session=True,
            )
        else:
            self.process = Forked([*argv], env, cwd or Path.cwd())
        assert self.process.stdout and self.process.stderr
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._complaints: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._out: list[str] = []
        self._err: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=each, daemon=True)
            for each in (
                (self.process.stdout, self._out, self._lines),
                (self.process.stderr, self._err, self._complaints),
            )
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def stdout(self) -> str:
        """What it has printed so far; all of it once `wait` returned."""
        return "".join(self._out)

    @property
    def stderr(self) -> str:
        return "".join(self._err)

    def wait_for(
        self, pattern: str, timeout: float = PATIENCE_S
    ) -> re.Match[str]:
        """Return the first match of `pattern` in a line not yet looked at."""
        return self._wait_for(pattern, self._lines, timeout)

    def wait_for_stderr(
        self, pattern: str, timeout: float = PATIENCE_S
    ) -> re.Match[str]:
        """The same for what it says on stderr."""
        return self._wait_for(pattern, self._complaints, timeout)

    def _wait_for(
        self,
        pattern: str,
        lines: "queue.SimpleQueue[str | None]",
        timeout: float,
    ) -> re.Match[str]:
        deadline = time.monotonic() + timeout
        while True:
            try:
                line = lines.get(timeout=deadline - time.monotonic())
            except (queue.Empty, ValueError):
                raise AssertionError(
                    f"no {pattern!r} within {timeout} s;{self._said()}"
                ) from None
            if line is None:
                raise AssertionError(
                    f"ended without {pattern!r};{self._said()}"
                )
            if match := re.search(pattern, line):
                return match

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, timeout: float = PATIENCE_S) -> int:
        """Return the exit code, once all output has been read."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"still running after {timeout} s;{self._said()}"
            ) from None
        for reader in self._readers:
            reader.join(timeout)
        return code

    def close(self) -> None:
        with suppress(ProcessLookupError):  # all of it is gone already
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)
        for reader in self._readers:
            reader.join(PATIENCE_S)
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe
            pipe.close()

    @staticmethod
    def _read(
        pipe: IO[bytes],
        into: list[str],
        lines: "queue.SimpleQueue[str | None]",
    ) -> None:
        for raw in pipe:
            line = raw.decode(errors="replace")
            into.append(line)
            lines.put(line)
        lines.put(None)

    def _said(self) -> str:
        return f"\nstdout: {self.stdout}\nstderr: {self.stderr}"
