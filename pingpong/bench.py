"""How long a ping takes, over each transport and against the rivals.

All contenders run in one go, interleaved round by round, so that whatever
else the machine does hits all alike.
"""

import ctypes
import importlib.metadata
import os
import platform
import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import zmq
from rich.table import Table

from pingpong.contenders import BASELINE, line_up
from pingpong.support.stats import quantile

ROUNDS = 10
WARM_UP = 20  # pings at the start of each round that do not count


@dataclass(frozen=True)
class Row:
    """One contender; `ratio` is its median to that of REQ/REP over tcp."""

    name: str
    median_s: float
    p99_s: float
    per_second: float
    ratio: float


@dataclass(frozen=True)
class Bench:
    """What was measured, on what machine, with what versions.

    As JSON it is {"bench": "pingpong", "machine": {"cpu", "cores",
    "system"}, "versions": {package: version}, "count": pings for each
    contender, "size": bytes of payload, "rows": [{"name", "median_s",
    "p99_s", "per_second", "ratio"}], "left_out": {name: reason}}.
    """

    machine: dict[str, str | int]
    versions: dict[str, str]
    count: int
    size: int
    rows: list[Row]
    left_out: dict[str, str]

    def as_dict(self) -> dict[str, object]:
        return {"bench": "pingpong", **asdict(self)}

    def tables(self) -> list[Table | str]:
        """The same for people, quickest first."""
        table = Table("", *("median us", "p99 us", "per second", "ratio"))
        for column in table.columns[1:]:
            column.justify = "right"
        for row in sorted(self.rows, key=lambda row: row.median_s):
            table.add_row(
                row.name,
                f"{row.median_s * 1e6:,.0f}",
                f"{row.p99_s * 1e6:,.0f}",
                f"{row.per_second:,.0f}",
                f"{row.ratio:.2f}",
            )
        return [
            table,
            f"{self.count} pings of {self.size} bytes each, one by one.",
            ", ".join(f"{k} {v}" for k, v in self.machine.items()),
            ", ".join(f"{k} {v}" for k, v in self.versions.items()),
            *(f"No {k}: {v}." for k, v in self.left_out.items()),
        ]


def measure(
    count: int, size: int, on_round: Callable[[], None] = lambda: None
) -> Bench:
    """Send `count` pings of `size` bytes by every means that is at hand."""
    with ExitStack() as stack:
        contenders, left_out = line_up(stack, size)
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for number in range(ROUNDS):
            share = count * (number + 1) // ROUNDS - count * number // ROUNDS
            for name, ping in contenders.items():
                times[name] += ping(share + WARM_UP)[WARM_UP:]
            on_round()
    base = median(times[BASELINE])
    rows = [
        Row(
            name,
            median(taken),
            quantile(sorted(taken), 0.99),
            len(taken) / sum(taken),
            median(taken) / base,
        )
        for name, taken in times.items()
    ]
    return Bench(machine(), versions(), count, size, rows, left_out)


def machine() -> dict[str, str | int]:
    facts = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)", facts, re.M)
    return {
        "cpu": model[1] if model else platform.machine(),
        "cores": os.cpu_count() or 1,
        "system": platform.platform(),
    }


def versions() -> dict[str, str]:
    packages = ["pyzmq", "protobuf"] + ["grpcio"] * bool(find_spec("grpc"))
    return {
        "python": platform.python_version(),
        "libzmq": zmq.zmq_version(),
        **c_version(),
        **{name: importlib.metadata.version(name) for name in packages},
    }


def c_version() -> dict[str, str]:
    """The libzmq that the C twin loads, where it is installed."""
    try:
        library = ctypes.CDLL("libzmq.so.5")
    except OSError:
        return {}
    parts = [ctypes.c_int() for _ in range(3)]
    library.zmq_version(*map(ctypes.byref, parts))
    return {"libzmq in C": ".".join(str(part.value) for part in parts)}
