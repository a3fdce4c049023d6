"""The deck: Markdown, diagrams and quotes of tested code, built offline.

`deck` reads the Markdown, `quote` resolves what it points at, `render` turns
slides into HTML, `site` writes the folder, `serve` shows it live, `record`
and `chart` make the two kinds of evidence that are kept as files.
"""

from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
DECK = HERE / "deck.md"
BENCH = HERE / "data" / "bench.json"

# The talk's slot, and what of it is spoken: the rest is for questions and
# for changing windows. `check` adds up the slides' times against it.
TALK_S = 35 * 60
SPOKEN_S = 31 * 60 + 30


class DeckError(Exception):
    """The deck says something that is not so; the sentence says where."""
