"""Every number that the talk shows: measured by `bench`, never typed.

`slides/data/bench.json` holds what `slides.bench` found. The numbers and
charts of the deck and the tables of the README are drawn from that file.
"""

import datetime
import html
import json
import re
from collections.abc import Callable
from operator import itemgetter
from typing import Any

from slides import BENCH, DECK, HERE, ROOT, DeckError
from slides.bench import PACKAGES

Table = dict[str, Any]

UNITS: dict[str, Callable[[Any], str]] = {
    "us": lambda seconds: f"{seconds * 1e6:,.0f} µs",
    "ms": lambda seconds: f"{seconds * 1e3:,.1f} ms",
    "s": lambda seconds: f"{seconds:,.1f} s",
    "": str,
}

# As a number stands in deck.md, so that it also reads well on GitHub.
LINK = re.compile(r'\[[^]]*(\]\(<data/bench\.json#([^>]+)>(?: "(\w+)")?\))')


def measured(where: str) -> Any:
    """Return the value at `package/row name/field` of bench.json.

    A row's name may hold slashes; `package/versions/libzmq` works too.
    """
    table, *middle, last = where.split("/")
    name = "/".join(middle)
    try:
        found = json.loads(BENCH.read_text(encoding="utf-8"))[table]
        rows = {row["name"]: row for row in found["rows"]}
        return (rows[name] if name in rows else found[name])[last]
    except json.JSONDecodeError as error:
        raise DeckError(f"{BENCH} is no JSON: {error}.") from error
    except KeyError as missing:
        raise DeckError(
            f"bench.json has nothing at {where}: no {missing}."
        ) from None


def text(where: str, unit: str) -> str:
    """Return what is at `where` in `us`, `ms` or `s`, or as it is."""
    if unit not in UNITS:
        raise DeckError(f"{where}: {unit} is no unit of {sorted(UNITS)}.")
    return UNITS[unit](measured(where))


def written(deck: str) -> str:
    """Return the text of the deck, each number in it as it was measured."""
    return LINK.sub(
        lambda link: f"[{text(link[2], link[3] or '')}{link[1]}", deck
    )


# -- the tables of the README ----------------------------------------

README = ROOT / "README.md"
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->"


def keep(fresh: dict[str, Table]) -> None:
    """Put fresh tables where the deck and the README find them."""
    tables: Table = {}
    if BENCH.exists():
        tables = json.loads(BENCH.read_text(encoding="utf-8"))
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    tables |= {name: {"date": today, **fresh[name]} for name in fresh}
    BENCH.parent.mkdir(exist_ok=True)
    BENCH.write_text(json.dumps(tables, indent=1) + "\n", encoding="utf-8")
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
    scale, unit = next(
        (s, u)
        for s, u in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
        if seconds >= s or u == "µs"
    )
    return f"{seconds / scale:.3g} {unit}"


# -- the charts --------------------------------------------------

CHARTS = HERE / "charts"
WIDTH, HEIGHT = 1200, 520
NAMES, BARS = 380, 520  # where names end, and the longest bar's length
MOST_ROWS = 9
CPU_SECONDS = {"decoding alone"}  # no bar among those of the clock
# How a fact about the machine is told, where not by its name.
FACTS = {
    "cpu": "{}",
    "cores": "{} cores",
    "system": "{}",
    "python": "Python {}",
}
# Above how many seconds a chart speaks in each unit.
FROM = {"s": 1.0, "ms": 2e-3, "us": 0.0}

STYLE = """
    .chart { font-family: var(--sans, sans-serif); font-size: 26px; }
    .chart text { fill: var(--ink, #16202e); }
    .chart .name { text-anchor: end; }
    .chart .quiet { fill: var(--muted, #566273); }
    .chart .machine { font-size: 22px; fill: var(--muted, #566273); }
    .chart rect { fill: var(--box-line, #93a9dd); }
    .chart .ours rect { fill: var(--accent, #2152cf); }
    .chart .ours text { font-weight: 600; }
"""


def draw() -> list[str]:
    """Write a chart for each table of bench.json; return their names.

    The numbers in the text of the deck follow.
    """
    deck = DECK.read_text(encoding="utf-8")
    DECK.write_text(written(deck), encoding="utf-8")
    bench = json.loads(BENCH.read_text(encoding="utf-8"))
    CHARTS.mkdir(exist_ok=True)
    for name, table in bench.items():
        drawn = chart(name, table)
        (CHARTS / f"{name}.svg").write_text(drawn, encoding="utf-8")
    return list(bench)


def chart(name: str, table: Table) -> str:
    """Return one table of `bench` as SVG: fastest first, ours marked.

    The row that the ratios are taken from (ratio 1) is the one of ours.
    """
    rows = _alternatives(table["rows"])
    rows = sorted(rows, key=itemgetter("median_s"))[:MOST_ROWS]
    longest = rows[-1]["median_s"]
    unit = next(u for u in ("s", "ms", "us") if longest >= FROM[u])
    pitch = min(64, (HEIGHT - 92) // len(rows))
    top = (HEIGHT - 92 - pitch * len(rows)) // 2
    bars = "".join(
        _bar(row, unit, longest, top + pitch * number, pitch)
        for number, row in enumerate(rows)
    )
    title = f"{name}: times, {', '.join(r['name'] for r in rows)}"
    machine, versions = (
        ", ".join(
            FACTS.get(key, f"{key} {{}}").format(_short(value))
            for key, value in table[of].items()
        )
        for of in ("machine", "versions")
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-labelledby="{name}-chart-title">\n'
        f'<title id="{name}-chart-title">{html.escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n{bars}"
        f'<text class="machine" x="20" y="{HEIGHT - 52}">'
        f"{html.escape(machine)}</text>\n"
        f'<text class="machine" x="20" y="{HEIGHT - 22}">'
        f"{html.escape(versions)}</text>\n</svg>\n"
    )


def _short(fact: object) -> str:
    """Leave the build out of `Linux-6.18.44-name-x86_64-with-glibc2.36`."""
    return re.sub(r"^([A-Z]\w+)-([\d.]+)-.*", r"\1 \2", str(fact))


def _alternatives(rows: list[Table]) -> list[Table]:
    """Return the rows that are compared with the first, which has ratio 1.

    A second row of ratio 1 begins another comparison, on another task.
    """
    found: list[Table] = []
    for row in rows:
        if found and row.get("ratio") == 1:
            break
        if "ratio" in row and row["name"] not in CPU_SECONDS:
            found.append(row)
    return found


def _bar(row: Table, unit: str, longest: float, top: int, pitch: int) -> str:
    median, ratio = row["median_s"], row["ratio"]
    length = max(4, round(BARS * median / longest))
    middle = top + pitch // 2 + 9
    group = ' class="ours"' if ratio == 1 else ""
    times = f' <tspan class="quiet">&#215;{ratio:.2g}</tspan>'
    return (
        f"<g{group}>"
        f'<text class="name" x="{NAMES - 16}" y="{middle}">'
        f"{html.escape(row['name'])}</text>"
        f'<rect x="{NAMES}" y="{top + 6}" width="{length}" '
        f'height="{pitch - 12}" rx="4"/>'
        f'<text x="{NAMES + length + 14}" y="{middle}">'
        f"{UNITS[unit](median)}{times if ratio != 1 else ''}</text>"
        f"</g>\n"
    )
