"""Numbers on slides: read from what `bench` measured, never typed."""

import json
import re
from collections.abc import Callable
from typing import Any

from slides import BENCH, DeckError

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
