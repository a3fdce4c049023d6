"""Show code and terminals: coloured by language, lit up step by step.

Steps are pure CSS: each line carries the numbers of the steps that light it,
and empty fragments, which reveal.js counts through, select among them.
"""

import html
from functools import lru_cache
from pathlib import Path

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
from pygments.util import ClassNotFound

from slides import DeckError

MOST_STEPS = 5  # that deck.css has rules for

# What a slide leaves for code, in its units, and what a letter takes.
WIDE, HIGH = 1080, 495
LARGEST, SMALLEST = 24, 22
TYPED = 32  # a command on a stage
PADDING = 44  # of a terminal
LETTER, LINE = 0.6, 1.25  # IBM Plex Mono's advance, and our line height


def size(lines: list[str], height: int = HIGH, largest: int = LARGEST) -> int:
    """Return the largest size at which `lines` fit on a slide.

    Raises `DeckError` when that is too small for the back row.
    """
    columns = max((len(line) for line in lines), default=0)
    if not columns:
        raise DeckError("A slide quotes nothing.")
    fits = min(
        largest,
        int(WIDE / (columns * LETTER)),
        int(height / (len(lines) * LINE)),
    )
    if fits < SMALLEST:
        raise DeckError(
            f"{len(lines)} lines of {columns} columns are too much code for "
            f"a slide: {lines[0].strip()!r}"
        )
    return fits


@lru_cache(256)  # most of a build, and a server builds again and again
def coloured(path: Path, code: str) -> list[str]:
    """Return the lines of `code` as HTML, coloured by its language."""
    try:
        lexer = get_lexer_for_filename(path.name, stripnl=False)
    except ClassNotFound:
        lexer = get_lexer_by_name("text", stripnl=False)
    made = highlight(code, lexer, HtmlFormatter(nowrap=True))
    return str(made).splitlines()


def block(lines: list[str], steps: list[set[int]], size: int) -> str:
    """Return lines of HTML as one block; `steps` say what is lit when.

    After the last step everything is lit.
    """
    if steps:
        steps = [*steps, set(range(1, len(lines) + 1))]
    rows = []
    for number, line in enumerate(lines, 1):
        lit = [f"on{i}" for i, step in enumerate(steps) if number in step]
        names = " ".join(["line", *lit])
        rows.append(f'<span class="{names}">{line}\n</span>')
    marks = "".join(
        f'<i class="fragment k{i}"></i>' for i in range(1, len(steps))
    )
    stepped = ' class="stepped"' if steps else ""
    return (
        f'<pre{stepped} style="font-size: {size}px">{marks}'
        f"<code>{''.join(rows)}</code></pre>"
    )


def terminal(
    lines: list[str], steps: list[set[int]], largest: int = LARGEST
) -> str:
    """Return what a terminal showed; what was typed stands out."""
    rows = [
        f'<b class="typed">{html.escape(line)}</b>'
        if line.startswith("$ ")
        else html.escape(line)
        for line in lines
    ]
    shown = block(rows, steps, size(lines, HIGH - PADDING, largest))
    return f'<figure class="terminal">{shown}</figure>'


def _holding(lines: list[str], word: str) -> list[int]:
    return [n for n, line in enumerate(lines, 1) if word in line]


def read_steps(text: str, lines: list[str], where: str) -> list[set[int]]:
    """Read which lines, counted from 1, each step lights.

    `poll|check,close..open` is two steps: the lines that hold `poll`; those
    that hold `check`, and all from the first with `close` to the next with
    `open` (or, without that, to the end). Words, since numbers would point
    elsewhere after an edit.
    """
    steps = []
    for step in filter(None, text.split("|")):
        lit: set[int] = set()
        for span in step.split(","):
            first, to, last = span.partition("..")
            found = _holding(lines, first)
            if found and to:
                ends = _holding(lines, last) if last else [len(lines)]
                end = min((n for n in ends if n >= found[0]), default=0)
                found = list(range(found[0], end + 1))
            if not found:
                raise DeckError(f"{where} has no line with {span!r}.")
            lit |= set(found)
        steps.append(lit)
    if len(steps) > MOST_STEPS:
        raise DeckError(f"{where} has more than {MOST_STEPS} steps.")
    return steps
