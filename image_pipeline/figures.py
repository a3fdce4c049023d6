"""What a bench found, on which machine, and whether it is enough."""

import os
import platform
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

import zmq
from rich.table import Table

from image_pipeline import rivals
from image_pipeline.stopwatch import taken_by


@dataclass(frozen=True, slots=True)
class Row:
    """One contender. `ratio` is its time to that of `run` over tcp."""

    name: str
    images: int
    wall_s: float
    images_per_s: float
    cpu_ms: float  # for one image
    ratio: float


@dataclass(frozen=True, slots=True)
class Claim:
    """A figure that `run` is to reach, and what it reached."""

    name: str
    figure: float
    limit: str
    reached: bool


@dataclass(slots=True)
class Bench:
    """The result; as JSON it is {"bench": "image_pipeline", ...these}."""

    machine: dict[str, str | int | float]
    versions: dict[str, str]
    rows: list[Row] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        return {"bench": "image_pipeline", **asdict(self)}

    def at_most(self, name: str, figure: float, limit: float) -> None:
        self.claims.append(
            Claim(name, figure, f"at most {limit:g}", figure <= limit)
        )

    def at_least(self, name: str, figure: float, limit: float) -> None:
        self.claims.append(
            Claim(name, figure, f"at least {limit:g}", figure >= limit)
        )


def machine() -> dict[str, str | int | float]:
    facts = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)", facts, re.MULTILINE)
    return {
        "cpu": model[1] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        # Above the number of cores, somebody else is measured as well.
        "load before": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "libzmq": zmq.zmq_version(),
        **{name: version(name) for name in ("pyzmq", "protobuf", "pillow")},
        **dict(_programs()),
    }


def _programs() -> Iterator[tuple[str, str]]:
    for program, option in (
        ("vipsthumbnail", "--vips-version"),
        ("mogrify", "-version"),
    ):
        if not rivals.missing(program):
            said = taken_by([program, option], timeout=10).output
            if found := re.search(r"\d+\.\d+[\d.-]*", said):
                yield program, found[0]


def as_tables(bench: Bench) -> Iterator[Table | str]:
    """Yield what `rich` is to print."""
    table = Table("", "images", "s", "images/s", "CPU ms/image", "ratio")
    for column in table.columns[1:]:
        column.justify = "right"
    for each in bench.rows:
        table.add_row(
            each.name,
            f"{each.images:,}",
            f"{each.wall_s:.2f}",
            f"{each.images_per_s:,.0f}",
            f"{each.cpu_ms:.1f}",
            f"{each.ratio:.2f}",
        )
    yield table
    claims = Table("", "measured", "to be reached", "")
    claims.columns[1].justify = "right"
    for claim in bench.claims:
        claims.add_row(
            claim.name,
            f"{claim.figure:.2f}",
            claim.limit,
            "yes" if claim.reached else "no",
        )
    yield claims
    for name, why in bench.left_out.items():
        yield f"Left out: {name} ({why})."
    for facts in (bench.machine, bench.versions):
        yield ", ".join(f"{name} {fact}" for name, fact in facts.items())
