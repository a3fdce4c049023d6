"""Workers as processes: what cannot be stopped can still be killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import astuple

from image_pipeline.outcome import Incomplete
from image_pipeline.supervision.process import GIVES_UP, NOTE
from image_pipeline.supervision.supervisor import Supervisor
from image_pipeline.supervision.watched import Exit, Noted, Work, Worker

WORKER = (sys.executable, "-m", "image_pipeline.supervision.worker_main")
REAP_S = 1.0  # for the kernel to end what was killed
MAX_WORDS = 2_000  # bytes of stderr that are read


class Processes(Supervisor):
    """Worker processes, which load `make`, a "module:function", at once.

    They do not connect before they are `working`. `verbose` ones print a
    line for each file.
    """

    def __init__(
        self,
        count: int,
        make: str,
        *,
        name: str = "worker",
        once: bool = False,
        verbose: bool = False,
        command: Sequence[str] = WORKER,
    ) -> None:
        self._command = [*command, make]
        self._verbose = verbose
        self._config: dict[str, object] = {"once": once, "verbose": verbose}
        super().__init__(count, name, once)

    @property
    def pids(self) -> dict[str, int]:
        return {
            each.name: each.popen.pid
            for each in self.alive
            if isinstance(each, _Process)
        }

    def _start(self, name: str) -> Worker:
        return _Process(name, self._command, self._config, self._verbose)


class _Process(Worker):
    def __init__(
        self,
        name: str,
        command: Sequence[str],
        config: dict[str, object],
        verbose: bool,
    ) -> None:
        super().__init__(name)
        self._config = config
        self._stderr, self._notes = (
            os.fdopen(os.memfd_create(what), "rb")
            for what in ("stderr", "notes")
        )
        # A signal mask is inherited: Ctrl-C in the terminal reaches us, who
        # end the workers in good order, and not them.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.popen = subprocess.Popen(
                [*command, name, str(self._notes.fileno())],
                stdin=subprocess.PIPE,
                stdout=None if verbose else subprocess.DEVNULL,
                stderr=self._stderr,
                pass_fds=[self._notes.fileno()],
            )
        except OSError as error:
            self._stderr.close()
            self._notes.close()
            raise Incomplete(
                f"cannot start a worker process: {error.strerror}"
            ) from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self._pidfd = os.pidfd_open(self.popen.pid)

    @property
    def descriptor(self) -> int:
        return self._pidfd

    def begin(self, work: Work) -> None:
        """Tell it where to connect, in a context of its own."""
        config = {
            **self._config,
            "tasks": work.tasks,
            "results": work.results,
            "keys": [key.decode() for key in astuple(work.keys)]
            if work.keys
            else [],
            "replaces": work.replaces,
        }
        if stdin := self.popen.stdin:
            # One that is dead already is for `exit` to see.
            with suppress(BrokenPipeError):
                stdin.write(json.dumps(config).encode() + b"\n")
                stdin.flush()

    def read_note(self) -> Noted:
        data = os.pread(self._notes.fileno(), NOTE.size, 0)
        return Noted(*NOTE.unpack(data)) if data else Noted()

    def exit(self) -> Exit | None:
        code = self.popen.poll()
        if code is None:
            return None
        if code == 0:
            return Exit()
        return Exit(
            _cause(code), code == GIVES_UP, self._last_words(), code > 0
        )

    def _last_words(self) -> str:
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - MAX_WORDS))
        text = self._stderr.read().decode(errors="replace")
        return (text.splitlines() or [""])[-1]

    def is_stopped(self) -> bool:
        flags = os.WSTOPPED | os.WNOHANG | os.WNOWAIT
        with suppress(ChildProcessError):
            return os.waitid(os.P_PID, self.popen.pid, flags) is not None
        return False

    def leave(self) -> None:
        """The end of its stdin is what it waits for."""
        if self.popen.stdin:
            with suppress(BrokenPipeError):
                self.popen.stdin.close()

    def kill(self) -> None:
        self.popen.kill()

    def close(self, deadline: float) -> bool:
        with self._stderr, self._notes:
            self.leave()
            with suppress(subprocess.TimeoutExpired):
                self.popen.wait(max(REAP_S, deadline - time.monotonic()))
            with suppress(OSError):
                os.close(self._pidfd)
        return self.popen.returncode is not None


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    with suppress(ValueError):
        return f"signal {-code} ({signal.Signals(-code).name})"
    return f"signal {-code}"
