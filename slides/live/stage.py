"""Puts a show on a slide: the still drawing, and beside it a recorded run.

Without script, on paper and on GitHub the drawing is all there is.
"""

import re
from pathlib import Path

from slides import DeckError
from slides.live.shows import COMMANDS

TRACES = Path(__file__).parent / "traces"
IDS = re.compile(r'aria-labelledby="([\w-]+)-title')


def stage(show: str, drawing: str, read: set[Path]) -> str:
    """Return the figure that the page's player takes hold of."""
    if show not in COMMANDS:
        raise DeckError(f"There is no show {show!r}.")
    trace = TRACES / f"{show}.json"
    read.add(trace)
    try:
        recorded = trace.read_text(encoding="utf-8").replace("<", "\\u003c")
    except OSError as error:
        raise DeckError(
            f"The show {show} has no recording: {error}. Make it with "
            f"python -m slides record {show}."
        ) from error
    # The same drawing may be on another slide, and ids are for one page.
    if found := IDS.search(drawing):
        drawing = drawing.replace(f"{found[1]}-", f"live-{found[1]}-")
    drawing = drawing.replace('class="fragment', 'class="still')
    drawing = drawing.replace("<figure", f'<figure data-show="{show}"')
    return drawing.replace(
        "</figure>",
        f'<script type="application/json">{recorded}</script></figure>',
    )
