"""Programs that start in a few milliseconds, as their modules are loaded.

Python with ZeroMQ, protobuf, click and a package of ours takes 0.25 s of CPU
to start, and the tests start hundreds of programs. So each worker of pytest
has one process that loads all of them once, and is forked for each program:

    zygote -- fork --> monitor -- fork --> program

The zygote has one thread and no context, so a fork is safe. The monitor
waits for its program, and tells pid and status over a pipe, as only a parent
can. The program is real: it has its own session, streams, environment and
folder, is run as `python -m` runs it, and dies of signals.
"""

import gc
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

PACKAGES = ("pingpong", "image_pipeline", "plugin_system")
# What is run itself, starts threads, or is not for every machine.
NOT_LOADED = {"__main__", "worker_main", "cluster", "samples"}
DECODERS = ("Avif", "Jpeg", "Png", "Tiff", "WebP")
LONGEST_REQUEST = 2**17
NUMBER = struct.Struct("i")  # a pid, then a status


@cache
def zygote() -> socket.socket:
    """Start the zygote, and return what to ask it by. It ends with us."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        os.posix_spawn(
            sys.executable,
            [sys.executable, "-W", "error", "-u", "-m", __name__],
            {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, its.fileno(), 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            ],
            setsid=True,
        )
    return ours


class Forked:
    """As much of subprocess.Popen as `tests.support.Program` needs."""

    def __init__(
        self, argv: list[str], env: Mapping[str, str], cwd: Path
    ) -> None:
        out, err, told = os.pipe(), os.pipe(), os.pipe()
        request = json.dumps([argv, dict(env), str(cwd)]).encode()
        socket.send_fds(zygote(), [request], [out[1], err[1], told[1]])
        for _, end in (out, err, told):
            os.close(end)
        self.stdout = os.fdopen(out[0], "rb")
        self.stderr = os.fdopen(err[0], "rb")
        self._told = os.fdopen(told[0], "rb", buffering=0)
        self.pid = self._next_number()
        self.returncode: int | None = None

    def _next_number(self) -> int:
        (number,) = NUMBER.unpack(self._told.read(NUMBER.size))
        return int(number)

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float) -> int:
        if self.returncode is None:
            poller = select.poll()
            poller.register(self._told, select.POLLIN)
            if not poller.poll(timeout * 1000):
                raise subprocess.TimeoutExpired("a forked program", timeout)
            status = self._next_number()
            self._told.close()
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def serve(requests: socket.socket) -> str:
    """Fork for each request; return in each program, which module it is."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # monitors leave no zombie
    while True:
        request, fds, *_ = socket.recv_fds(requests, LONGEST_REQUEST, 3)
        if not request:  # who asked us is gone
            os._exit(0)
        if os.fork() == 0:
            break
        for each in fds:
            os.close(each)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    out, err, told = fds
    requests.close()
    if program := os.fork():  # this is the monitor
        for each in (0, 1, 2, out, err):
            os.close(each)
        os.write(told, NUMBER.pack(program))
        _, status = os.waitpid(program, 0)
        os.write(told, NUMBER.pack(status))
        os._exit(0)
    os.setsid()
    os.close(told)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, each in enumerate((nothing, out, err)):
        os.dup2(each, number)
        os.close(each)
    argv, env, cwd = json.loads(request)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv, sys.path[0] = argv, cwd
    return str(argv[0])


def load() -> None:
    for package in map(import_module, PACKAGES):
        for each in walk_packages(package.__path__, f"{package.__name__}."):
            if NOT_LOADED.isdisjoint(each.name.split(".")):
                import_module(each.name)
    for decoder in DECODERS:
        with suppress(ImportError):  # an older Pillow has no AVIF
            import_module(f"PIL.{decoder}ImagePlugin")


if __name__ == "__main__":
    load()
    gc.freeze()  # what is never written to is shared
    with socket.socket(fileno=os.dup(0)) as requests:
        module = serve(requests)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
