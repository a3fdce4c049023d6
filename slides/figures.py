"""Every number that the talk shows, measured by commands anyone can repeat.

`slides.bench` measures, `slides/data/bench.json` holds what it found. The
numbers and charts of the deck and the table in the README are drawn from
that file, so none is ever typed.
"""

import datetime
import json
from typing import Any

from slides import BENCH, ROOT
from slides.bench import PACKAGES

README = ROOT / "README.md"
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->"
UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))

Table = dict[str, Any]


def keep(fresh: dict[str, Table]) -> None:
    """Put fresh tables where the deck and the README find them."""
    tables: Table = {}
    if BENCH.exists():
        tables = json.loads(BENCH.read_text(encoding="utf-8"))
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    tables |= {name: {"date": today, **fresh[name]} for name in fresh}
    text = json.dumps(tables, indent=1)
    BENCH.parent.mkdir(exist_ok=True)
    BENCH.write_text(text + "\n", encoding="utf-8")
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(
        before + BEGIN + readme_tables() + END + after, encoding="utf-8"
    )


def readme_tables() -> str:
    """Return bench.json as the part of the README between the marks."""
    measured = json.loads(BENCH.read_text(encoding="utf-8"))
    lines = [""]
    for package in PACKAGES:
        if table := measured.get(package):
            lines += [
                f"| {package} | median | ratio |",
                "| --- | --: | --: |",
            ]
            lines += [_row(row) for row in table["rows"]]
            facts = {**table["machine"], **table["versions"]}
            told = ", ".join(f"{name} {fact}" for name, fact in facts.items())
            lines += ["", f"Measured on {table['date']}: {told}.", ""]
    return "\n".join(lines)


def _row(row: Table) -> str:
    ratio = f"{row['ratio']:.2f}" if row.get("ratio") else ""
    return f"| {row['name']} | {_time(row['median_s'])} | {ratio} |"


def _time(seconds: float) -> str:
    scale, unit = next((s, u) for s, u in UNITS if seconds >= s or u == "µs")
    return f"{seconds / scale:.3g} {unit}"
