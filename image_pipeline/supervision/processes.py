"""Workers as processes: what cannot be stopped can still be killed.

The first ones are forked, with every module loaded, before ZeroMQ has
started a thread here; later ones begin as a fresh Python, as a fork would
copy locks that threads hold. Not multiprocessing's forkserver, which starts
them sooner yet: when it is killed it takes the exit codes of all workers
along, one stopped worker cannot be told, and all share one stderr.
"""

import faulthandler
import json
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import astuple
from typing import NoReturn

from image_pipeline.outcome import Incomplete
from image_pipeline.supervision import worker_main
from image_pipeline.supervision.process import GIVES_UP, NOTE
from image_pipeline.supervision.supervisor import Supervisor
from image_pipeline.supervision.watched import Exit, Noted, Work, Worker
from image_pipeline.transport.sockets import Context

REAP_S = 1.0  # for the kernel to end what was killed
MAX_WORDS = 2_000  # bytes of stderr that are read


class Processes(Supervisor):
    """Worker processes, which load `make`, a "module:function", at once.

    They do not connect before they are `working`. `verbose` ones print a
    line for each file. `command` is run instead of a worker of ours.
    """

    def __init__(
        self,
        count: int,
        make: str,
        *,
        name: str = "worker",
        once: bool = False,
        verbose: bool = False,
        command: Sequence[str] = (),
    ) -> None:
        self._make, self._verbose, self._command = make, verbose, command
        super().__init__(count, name, once)

    @property
    def pids(self) -> dict[str, int]:
        return {
            each.name: each.pid
            for each in self.alive
            if isinstance(each, _Process)
        }

    def _start(self, name: str) -> Worker:
        return _Process(name, self._make, self._verbose, self._command)


class _Process(Worker):
    def __init__(
        self, name: str, make: str, verbose: bool, command: Sequence[str]
    ) -> None:
        super().__init__(name)
        self._code: int | None = None
        self._stderr = os.memfd_create("stderr")
        self._notes = os.memfd_create("notes")
        stdin, self._stdin = os.pipe()
        quiet = os.open(os.devnull, os.O_WRONLY)
        stdout = 1 if verbose else quiet
        streams = stdin, stdout, self._stderr
        notes = os.dup(self._notes)
        os.set_inheritable(notes, True)
        args = make, name, str(notes)
        # A signal mask is inherited: a Ctrl-C in the terminal, or its end,
        # does not reach the workers; we end them in good order.
        both = signal.SIGINT, signal.SIGHUP
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, both)
        try:
            if command or not _has_one_thread():
                command = command or worker_main.COMMAND
                self.pid = _spawn((*command, *args), streams)
            else:
                self.pid = os.fork() or _work(args, streams)
            self.descriptor = os.pidfd_open(self.pid)
        except OSError as error:
            for descriptor in (self._stdin, self._stderr, self._notes):
                os.close(descriptor)
            raise Incomplete(
                f"cannot start a worker process: {error.strerror}"
            ) from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            for descriptor in (stdin, quiet, notes):
                os.close(descriptor)

    def begin(self, _context: Context, work: Work) -> None:
        """Tell it where to connect, in a context of its own."""
        line = json.dumps(astuple(work), default=bytes.decode)
        # One that is dead already is for `exit` to see.
        with suppress(BrokenPipeError):
            os.write(self._stdin, line.encode() + b"\n")

    def read_note(self) -> Noted:
        data = os.pread(self._notes, NOTE.size, 0)
        return Noted(*NOTE.unpack(data)) if data else Noted()

    def exit(self) -> Exit | None:
        code = self._exit_code()
        if not code:
            return None if code is None else Exit()
        return Exit(
            _cause(code), code == GIVES_UP, self._last_words(), code > 0
        )

    def _exit_code(self, within: float = 0.0) -> int | None:
        if self._code is None:
            poll = select.poll()
            poll.register(self.descriptor, select.POLLIN)
            if poll.poll(within * 1000):
                status = 0
                with suppress(ChildProcessError):  # SIGCHLD is ignored
                    _, status = os.waitpid(self.pid, 0)
                self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def _last_words(self) -> str:
        begin = max(0, os.fstat(self._stderr).st_size - MAX_WORDS)
        data = os.pread(self._stderr, MAX_WORDS, begin)
        return (data.decode(errors="replace").splitlines() or [""])[-1]

    def is_stopped(self) -> bool:
        flags = os.WSTOPPED | os.WNOHANG | os.WNOWAIT
        with suppress(ChildProcessError):
            return os.waitid(os.P_PID, self.pid, flags) is not None
        return False

    def leave(self) -> None:
        """The end of its stdin is what it waits for."""
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.descriptor, signal.SIGKILL)

    def close(self, deadline: float) -> bool:
        self.leave()
        code = self._exit_code(max(REAP_S, deadline - time.monotonic()))
        if code is None:  # it will be closed once more
            return False
        for descriptor in (self._stderr, self._notes, self.descriptor):
            os.close(descriptor)
        return True


def _has_one_thread() -> bool:
    """Also none of C code's own, which Python does not count."""
    with suppress(OSError):
        return len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208
    return False


def _spawn(argv: tuple[str, ...], streams: Sequence[int]) -> int:
    actions = [
        (os.POSIX_SPAWN_DUP2, each, number)
        for number, each in enumerate(streams)
    ]
    return os.posix_spawn(argv[0], argv, os.environ, file_actions=actions)


def _work(args: Sequence[str], streams: Sequence[int]) -> NoReturn:
    """Be a worker, in a process that was forked for it."""
    code = 1
    try:
        faulthandler.disable()  # whose file is closed below
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for number, each in enumerate(streams):
            os.dup2(each, number)
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        worker_main.main(args)
        code = 0
    except SystemExit as error:
        code = int(error.code or 0)
    except BaseException as error:  # noqa: BLE001 - nothing returns from here
        sys.__excepthook__(type(error), error, error.__traceback__)
    finally:
        os._exit(code)


def _cause(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    with suppress(ValueError):
        return f"signal {-code} ({signal.Signals(-code).name})"
    return f"signal {-code}"
