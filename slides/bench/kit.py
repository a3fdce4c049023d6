"""What all benches share: the machine, the versions, rows, claims, tables."""

import ctypes
import os
import platform
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import zmq
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """One contender. `ratio` is its median to that of the first row."""

    name: str
    median_s: float
    count: int
    ratio: float | None = None
    p99_s: float | None = None
    per_second: float | None = None
    cpu_ms: float | None = None  # for one image
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {k: v for k, v in asdict(self).items() if v not in (None, "")}


@dataclass(frozen=True, slots=True)
class Claim:
    """A figure to be reached, and what was measured."""

    name: str
    figure: float
    limit: str
    reached: bool


@dataclass(slots=True)
class Bench:
    """What was measured, on which machine, with which versions."""

    machine: dict[str, str | int | float]
    versions: dict[str, str]
    rows: list[Row] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    about: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"rows": [row.as_dict() for row in self.rows]}

    def at_most(self, name: str, figure: float, limit: float) -> None:
        self.claims.append(
            Claim(name, figure, f"at most {limit:g}", figure <= limit)
        )

    def at_least(self, name: str, figure: float, limit: float) -> None:
        self.claims.append(
            Claim(name, figure, f"at least {limit:g}", figure >= limit)
        )

    def tables(self) -> Iterator[Table | str]:
        """Yield what `rich` prints."""
        yield _table(
            ("", "n", "median ms", "p99 ms", "per s", "CPU ms", "ratio"),
            [
                (
                    row.name,
                    f"{row.count:,}",
                    f"{row.median_s * 1e3:,.3f}",
                    _shown(row.p99_s and row.p99_s * 1e3, ",.3f"),
                    _shown(row.per_second, ",.0f"),
                    _shown(row.cpu_ms, ".1f"),
                    _shown(row.ratio, ".2f"),
                )
                for row in self.rows
            ],
        )
        yield from (
            f"{row.name}: {row.note}." for row in self.rows if row.note
        )
        if self.claims:
            yield _table(
                ("", "measured", "limit", "reached"),
                [
                    (
                        claim.name,
                        f"{claim.figure:.2f}",
                        claim.limit,
                        "yes" if claim.reached else "no",
                    )
                    for claim in self.claims
                ],
            )
        yield from (f"Left out: {k} ({v})." for k, v in self.left_out.items())
        yield self.about
        for facts in (self.machine, self.versions):
            yield ", ".join(f"{k} {v}" for k, v in facts.items())


def _shown(figure: float | None, how: str) -> str:
    return "" if figure is None else format(figure, how)


def _table(heads: tuple[str, ...], lines: list[tuple[str, ...]]) -> Table:
    """A table without the columns that are empty in every line."""
    table = Table()
    used = [n for n in range(len(heads)) if any(line[n] for line in lines)]
    for number in used:
        table.add_column(heads[number], justify="right" if number else "left")
    for line in lines:
        table.add_row(*(line[number] for number in used))
    return table


def seconds(act: Callable[[], Any]) -> float:
    began = perf_counter()
    act()
    return perf_counter() - began


def row(
    name: str, taken: list[float], ratio: float | None = None, note: str = ""
) -> Row:
    """The row of a contender whose single calls took so many seconds."""
    ordered = sorted(taken)
    p99 = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    return Row(
        name,
        median(ordered),
        len(ordered),
        ratio,
        p99,
        len(ordered) / sum(ordered),
        note=note,
    )


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
    return Bench(
        machine,
        {
            "python": platform.python_version(),
            "libzmq": zmq.zmq_version(),
            **more,
            **dict(_installed("pyzmq", "protobuf", *packages)),
        },
    )


def _installed(*packages: str) -> Iterator[tuple[str, str]]:
    for name in packages:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


def libzmq_of_c() -> dict[str, str]:
    """The libzmq that the C twin loads, where it is installed."""
    try:
        library = ctypes.CDLL("libzmq.so.5")
    except OSError:
        return {}
    parts = [ctypes.c_int() for _ in range(3)]
    library.zmq_version(*map(ctypes.byref, parts))
    return {"libzmq in C": ".".join(str(part.value) for part in parts)}
