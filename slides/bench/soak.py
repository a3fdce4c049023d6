"""Soak: each example works for long, while its processes are killed.

    python -m slides.bench.soak [--scale 0.01]

    image_pipeline  tiny images; every second a worker at work is killed,
                    and the sink twice
    plugin_system   calls; every hundredth ends its plugin, in three ways
    pingpong        pings; the server is killed every ten seconds

It exits 1 where something is lost, or where memory or descriptors of the
process that lives on grow from the first half to the second. A sink may grow
by its record of what it has stored, RECORD_BYTES a file.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from time import monotonic
from typing import Literal

import click
import zmq

from pingpong.client import Client
from pingpong.messages_pb2 import Ping
from pingpong.support.process import running, server_command, tied
from pingpong.support.stop import Stop
from plugin_system.errors import PluginCrashed
from plugin_system.executor import Executor
from plugin_system.registry import Registration
from slides.bench.image_pipeline import fill_tiny
from slides.bench.plugin_system import POLICY, TARGET

WORKERS = 3
CALLS_TO_A_CRASH = 100
ENDS = "SIGKILL", "in order", 3  # by sys.exit and by os._exit
WORKER_S, SERVER_S = 1.0, 10.0  # from one kill to the next
SAMPLE_S = 1.0
# "current": stored by a sink that died before it could say so.
WELL = re.compile(r'"outcome": "(?:made|current)"')
SLACK = 1.1  # what may be added from the first half to the second
RECORD_BYTES = 400  # name, state and marks of a file, as Python objects


@dataclass
class Soak:
    """What one example went through; `done` of `owed` came back.

    `peaks` of those who live on: memory in MB and open descriptors, of both
    halves of the work.
    """

    example: str
    owed: int
    done: int = 0
    killed: Counter[str] = field(default_factory=Counter)
    peaks: dict[str, list[list[int]]] = field(default_factory=dict)
    seen: float = 0.0

    def sample(
        self, who: str, done: int, pid: int | Literal["self"] = "self"
    ) -> None:
        """Take a sample, once a second, with so much of the work done."""
        now = monotonic()
        if pid == "self" and now < self.seen + SAMPLE_S:
            return
        self.seen = now
        process = Path(f"/proc/{pid}")
        with suppress(OSError, IndexError):  # it has just ended
            pages = int((process / "statm").read_text().split()[1])
            megabytes = pages * os.sysconf("SC_PAGE_SIZE") // 10**6
            found = [megabytes, len(list((process / "fd").iterdir()))]
            both = self.peaks.setdefault(who, [[0, 0], [0, 0]])
            half = int(done > self.owed // 2)
            both[half] = list(map(max, both[half], found))

    @property
    def is_well(self) -> bool:
        record = {"sink": self.owed // 2 * RECORD_BYTES / 10**6}
        return self.done == self.owed and all(
            late <= early * SLACK + 2 + record.get(who, 0)
            for who, (first, second) in self.peaks.items()
            for early, late in zip(first, second, strict=True)
        )

    def __str__(self) -> str:
        killed = ", ".join(f"{n:,} x {who}" for who, n in self.killed.items())
        grown = "".join(
            f"; {who}: {first[0]} then {second[0]} MB, "
            f"{first[1]} then {second[1]} descriptors"
            for who, (first, second) in self.peaks.items()
        )
        return (
            f"{self.example}: {self.done:,} of {self.owed:,}; "
            f"killed: {killed or 'none'}{grown}"
        )


class Role:
    """A process of the pipeline, and what it says on stdout."""

    def __init__(self, stack: ExitStack, *arguments: object) -> None:
        self.said = tempfile.TemporaryFile()  # noqa: SIM115
        command = [sys.executable, "-m", "image_pipeline"]
        self.process = subprocess.Popen(
            tied([*command, *map(str, arguments)]),
            stdout=self.said,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(self.kill)

    def is_at_work(self) -> bool:
        """Whether it has said more than its greeting."""
        return os.pread(self.said.fileno(), 4096, 0).count(b"\n") > 1

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.said.close()


def images(soak: Soak) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        source, target = folder / "source", folder / "target"
        fill_tiny(source, soak.owed)
        tasks, results, receipts = (
            f"--{name}=ipc://{folder}/{name}"
            for name in ("tasks", "results", "receipts")
        )
        sink = partial(Role, stack, "sink", target, results, receipts)
        worker = partial(Role, stack, "worker", tasks, results)
        report = folder / "report"
        collecting = sink()
        workers = deque(worker() for _ in range(WORKERS))
        sending = Role(
            *(stack, "ventilator", source, tasks, results, receipts),
            *("--workers", 1, "--quiet", "--report", report),
        )
        while not report.exists():  # it begins with the batch
            time.sleep(WORKER_S / 10)
        lines = stack.enter_context(report.open())
        heard, restarts = 0, [soak.owed // 3, soak.owed * 2 // 3]
        while sending.process.poll() is None:
            time.sleep(WORKER_S)
            soak.sample("ventilator", heard, sending.process.pid)
            soak.sample("sink", heard, collecting.process.pid)
            if workers[0].is_at_work():
                workers.popleft().kill()
                soak.killed["worker"] += 1
                workers.append(worker())
            told = lines.read()
            heard += told.count("\n")
            soak.done += len(WELL.findall(told))
            if restarts and heard >= restarts[0]:
                del restarts[0]
                collecting.kill()
                soak.killed["sink"] += 1
                collecting = sink()
        stored = sum(1 for _ in target.glob("*.jpg"))
        soak.done = min(len(WELL.findall(report.read_text())), stored)


def calls(soak: Soak) -> None:
    chaos = [Registration("chaos", TARGET)]
    with Executor(chaos, policy=POLICY) as executor:
        for number in range(soak.owed):
            if number % CALLS_TO_A_CRASH == CALLS_TO_A_CRASH - 1:
                try:
                    executor.call("chaos", "crash", ENDS[number % 3])
                except PluginCrashed:
                    soak.killed["plugin"] += 1
                    soak.done += 1
            else:
                soak.done += executor.call("chaos", "echo", number) == number
            soak.sample("host", number)


def pings(soak: Soak) -> None:
    with (
        mortal_server(soak.killed) as endpoint,
        zmq.Context() as context,
        Stop() as stop,
        Client(context, endpoint, stop) as client,
    ):
        for number in range(1, soak.owed + 1):
            soak.done += client.ask(Ping(id=number)).id == number
            soak.sample("client", number)


@contextmanager
def mortal_server(killed: Counter[str]) -> Iterator[str]:
    """A server that is killed every so often, and started again there."""
    over, where = Event(), SimpleQueue[str]()

    def serve() -> None:
        endpoint = "tcp://127.0.0.1:*"
        while not over.is_set():
            with running(*server_command(endpoint)) as (_, endpoint):
                where.put(endpoint)
                if not over.wait(SERVER_S):
                    killed["server"] += 1  # by `running`, at its end

    thread = Thread(target=serve)
    thread.start()
    try:
        yield where.get(timeout=30)
    finally:
        over.set()
        thread.join()


@click.command()
@click.option("--scale", default=1.0, help="A part of the whole soak.")
@click.argument("examples", nargs=-1)
def main(scale: float, examples: tuple[str, ...]) -> None:
    """Let EXAMPLES work for long, all three if left out."""
    soaks: dict[str, tuple[Callable[[Soak], None], int]] = {
        "image_pipeline": (images, 200_000),
        "plugin_system": (calls, 200_000),
        "pingpong": (pings, 1_000_000),
    }
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    well = True
    for example in examples or soaks:
        work, owed = soaks[example]
        soak, began = Soak(example, round(owed * scale)), monotonic()
        try:
            work(soak)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
        click.echo(f"{soak}; {monotonic() - began:.0f} s")
        well &= soak.is_well
    raise SystemExit(not well)


if __name__ == "__main__":
    main()
