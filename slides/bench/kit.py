"""What all benches share: rows, claims, tables and a stopwatch."""

import ctypes
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from select import select
from statistics import median
from time import perf_counter
from typing import Any

import zmq
from rich.table import Table

Say = Callable[[str], None]  # hears of the progress


@dataclass(frozen=True, slots=True)
class Row:
    """One program. `ratio` is its median to that of the first row."""

    name: str
    median_s: float
    count: int
    ratio: float | None = None
    p99_s: float | None = None
    cpu_ms: float | None = None  # for one image
    at_least: float | None = None  # the ratio that is to be reached


@dataclass(slots=True)
class Bench:
    """What was measured, on which machine, with which versions."""

    machine: dict[str, str | int | float]
    versions: dict[str, str]
    rows: list[Row] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        rows = [
            {k: v for k, v in asdict(row).items() if v is not None}
            for row in self.rows
        ]
        return asdict(self) | {"rows": rows}

    def tables(self) -> Iterator[Table | str]:
        """Yield what `rich` prints."""
        heads = ("", "n", "median ms", "p99 ms", "CPU ms", "ratio", "limit")
        table = Table()
        for head in heads:
            table.add_column(head, justify="right" if head else "left")
        for row in self.rows:
            table.add_row(
                row.name,
                f"{row.count:,}",
                f"{row.median_s * 1e3:,.3f}",
                f"{row.p99_s * 1e3:,.3f}" if row.p99_s else "",
                f"{row.cpu_ms:.1f}" if row.cpu_ms else "",
                f"{row.ratio:.2f}" if row.ratio else "",
                f"at least {row.at_least:.2f}" if row.at_least else "",
            )
        yield table
        yield from (f"Left out: {k} ({v})." for k, v in self.left_out.items())
        for facts in (self.machine, self.versions):
            yield ", ".join(f"{k} {v}" for k, v in facts.items())


def seconds(act: Callable[[], Any]) -> float:
    began = perf_counter()
    act()
    return perf_counter() - began


def until(error: type[Exception], act: Callable[[], Any]) -> float:
    """Return the seconds until `act` raises `error`, as it must."""
    began = perf_counter()
    try:
        act()
    except error:
        return perf_counter() - began
    raise AssertionError(f"no {error.__name__}")


def row(name: str, taken: list[float], ratio: float | None = None) -> Row:
    """The row of a program whose single calls took so many seconds."""
    ordered = sorted(taken)
    p99 = ordered[len(ordered) * 99 // 100]
    return Row(name, median(ordered), len(ordered), ratio, p99)


def new(*packages: str, **more: str) -> Bench:
    """An empty bench that names this machine and what is installed of it."""
    facts = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)", facts, re.MULTILINE)
    machine: dict[str, str | int | float] = {
        "cpu": model[1] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        # Above the number of cores, other programs are measured as well.
        "load before": round(os.getloadavg()[0], 2),
    }
    versions = {
        "python": platform.python_version(),
        "libzmq": zmq.zmq_version(),
        **more,
    }
    for name in ("pyzmq", "protobuf", *packages):
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return Bench(machine, versions)


def libzmq_of_c() -> dict[str, str]:
    """The libzmq that the C twin loads, where it is installed."""
    try:
        library = ctypes.CDLL("libzmq.so.5")
    except OSError:
        return {}
    parts = [ctypes.c_int() for _ in range(3)]
    library.zmq_version(*map(ctypes.byref, parts))
    return {"libzmq in C": ".".join(str(part.value) for part in parts)}


def in_python(function: Callable[..., None], *arguments: object) -> list[str]:
    """Return the command that calls `function` in a process of its own."""
    name = function.__name__
    load = f"import sys; from {function.__module__} import {name}"
    program = f"{load}; {name}(*sys.argv[1:])"
    return [sys.executable, "-c", program, *map(str, arguments)]


@dataclass(frozen=True, slots=True)
class Taken:
    """What one run took. Children count once they have been waited for."""

    wall_s: float
    cpu_s: float
    output: str


def taken_by(argv: Sequence[str], timeout: float = 600) -> Taken:
    """Run `argv` and measure it; raises OSError if it fails."""
    began = perf_counter()
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        ended = os.pidfd_open(process.pid)
        try:
            if not select([ended], [], [], timeout)[0]:
                raise TimeoutError(f"{argv[0]} did not end in time")
            wall = perf_counter() - began
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            os.close(ended)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read().decode(errors="replace")
    if process.returncode:
        raise OSError(f"{argv[:4]} failed: {said[-400:]}")
    return Taken(wall, usage.ru_utime + usage.ru_stime, said)
