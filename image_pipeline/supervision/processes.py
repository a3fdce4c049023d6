"""The workers of one run as processes, which are replaced when they die.

A decoder that crashes, or is killed because it took all the memory, takes
its process with it and nothing else. How it died is told to the ventilator,
and at which image: a message that says so may die with its sender, before
libzmq has put it on the wire. So each worker notes the image in a piece of
memory that is shared with us, and outlives it.
"""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from image_pipeline.delivery.roll import Departure

if TYPE_CHECKING:
    import zmq

WORKER = (sys.executable, "-m", "image_pipeline.supervision.worker_main")
STOPPED_S = 5.0  # a process that is stopped (SIGSTOP) for so long is replaced
FAREWELL_S = 2.0  # for a worker to end by itself
STILLBORN = 3  # processes that exit by themselves, one after another
FILES, FILES_OF_A_WORKER = 128, 6  # that a run has open, at most


class CrewError(Exception):
    """Workers cannot be started; the text says why."""


def allow_files(workers: int) -> None:
    """Raise our limit of open files if need be; raises CrewError.

    libzmq ends the whole process where it gets no descriptor.
    """
    needed = FILES + FILES_OF_A_WORKER * workers
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < needed:  # RLIM_INFINITY is -1
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
        except ValueError:
            raise CrewError(
                f"{workers} workers need {needed} open files, and the limit "
                f"(ulimit -n) is {hard}"
            ) from None


@dataclass(slots=True)
class _Process:
    name: str
    popen: subprocess.Popen[bytes]
    stderr: IO[bytes]  # a file in memory, as is the next
    notes: IO[bytes]  # the id of the image that it is at, or 0
    stopped_since: float | None = None


@dataclass(slots=True)
class Processes:
    """`count` worker processes, which load their decoders at once.

    They wait for `work` to tell them whom to work for.
    """

    count: int
    command: Sequence[str] = WORKER
    _ends: bytes = b""
    _alive: list[_Process] = field(default_factory=list)
    _named: int = 0
    _stillborn: int = 0

    def __post_init__(self) -> None:
        allow_files(self.count)
        for _ in range(self.count):
            self._start()

    def work(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        tasks: str,
        results: str,
    ) -> None:
        """Let them connect, each in a context of its own."""
        del context
        self._ends = f"{tasks}\0{results}".encode()
        for process in self._alive:
            self._tell(process)

    def _start(self) -> None:
        self._named += 1
        name = f"worker {self._named}"
        stderr, notes = (
            os.fdopen(os.memfd_create(what), "rb")
            for what in ("stderr", "notes")
        )
        # A signal mask is inherited: Ctrl-C in the terminal reaches us, who
        # end the workers in good order, and not them.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            popen = subprocess.Popen(
                [*self.command, name, str(notes.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                pass_fds=[notes.fileno()],
            )
        except OSError as error:
            stderr.close()
            notes.close()
            raise CrewError(
                f"cannot start a worker process: {error.strerror}"
            ) from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        process = _Process(name, popen, stderr, notes)
        self._alive.append(process)
        if self._ends:
            self._tell(process)

    def _tell(self, process: _Process) -> None:
        if stdin := process.popen.stdin:
            # One that is dead already is for `reap` to see.
            with suppress(BrokenPipeError), stdin:
                stdin.write(self._ends)

    @property
    def pids(self) -> dict[str, int]:
        return {each.name: each.popen.pid for each in self._alive}

    def reap(self) -> list[Departure]:
        """Return who has died since the last call, and replace them.

        Raises CrewError when that is hopeless.
        """
        deaths = []
        for process in list(self._alive):
            self._end_if_stopped(process)
            code = process.popen.poll()
            if code is None:
                continue
            said, image = self._bury(process)
            self._stillborn = self._stillborn + 1 if code > 0 else 0
            if self._stillborn >= STILLBORN:
                raise CrewError(
                    f"worker processes end at once, with status {code}: "
                    f"{said or 'they say nothing'}"
                )
            timed_out = code == -signal.SIGALRM
            deaths.append(
                Departure(process.name, _cause(code), timed_out, image)
            )
            self._start()
        return deaths

    def _end_if_stopped(self, process: _Process) -> None:
        """Kill a process that is stopped: it would hold its image for ever.

        Not at once: after Ctrl-Z and `fg` we may be awake before it is.
        """
        now = time.monotonic()
        if not _is_stopped(process.popen.pid):
            process.stopped_since = None
        elif process.stopped_since is None:
            process.stopped_since = now
        elif now - process.stopped_since > STOPPED_S:
            process.popen.kill()

    def _bury(self, process: _Process) -> tuple[str, int]:
        """Forget `process`; return its last words, and at which image."""
        self._alive.remove(process)
        if process.popen.stdin:
            process.popen.stdin.close()
        with process.stderr as stderr, process.notes as notes:
            size = stderr.seek(0, os.SEEK_END)
            stderr.seek(max(0, size - 2_000))
            lines = stderr.read().decode(errors="replace").splitlines()
            return lines[-1] if lines else "", int.from_bytes(notes.read())

    def close(self) -> bool:
        """End them all; True, as processes can always be ended.

        SIGTERM kills them at once. They hold nothing that anybody awaits.
        """
        for process in self._alive:
            process.popen.terminate()
        deadline = time.monotonic() + FAREWELL_S
        for process in list(self._alive):
            try:
                process.popen.wait(max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.popen.kill()
                process.popen.wait()  # SIGKILL is not to be refused
            self._bury(process)
        return True


def _is_stopped(pid: int) -> bool:
    flags = os.WSTOPPED | os.WNOHANG | os.WNOWAIT
    with suppress(ChildProcessError):
        return os.waitid(os.P_PID, pid, flags) is not None
    return False


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    with suppress(ValueError):
        return f"signal {-code} ({signal.Signals(-code).name})"
    return f"signal {-code}"
