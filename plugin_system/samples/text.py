"""A plugin that knows about text.

python -m plugin_system call text count '"to be or not to be"'
"""

from collections import Counter
from typing import Any

from plugin_system.sdk import Plugin

plugin = Plugin(version="1.0")


@plugin.idempotent
def count(text: str) -> dict[str, int]:
    """Return how many lines, words and characters there are."""
    return {
        "lines": len(text.splitlines()),
        "words": len(text.split()),
        "characters": len(text),
    }


@plugin.idempotent
def common(text: str, most: int = 5) -> list[list[Any]]:
    """Return the commonest words, each with how often it occurs."""
    words = Counter(text.casefold().split())
    return [list(pair) for pair in words.most_common(most)]
