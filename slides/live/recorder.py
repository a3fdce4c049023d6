"""Plays a show with nobody there, clicks in it, and keeps its trace."""

import json
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from slides import DeckError
from slides.live.shows import COMMANDS, Event, Show

LONGEST_S = 120
HAND_S = 1.5  # from what is seen to the click
# What is clicked, and after how many events of a kind.
CLICKS = {
    "pipeline-tcp": {(12, "made"): "kill worker 2"},
    "pipeline-inproc": {(12, "made"): "kill thread 2"},
    "ping": {(14, "made"): "kill server"},
    "marks": {
        (16, "made"): "slow 4",
        (30, "made"): "slow 2",
        (50, "made"): "slow 1",
        (70, "made"): "slow 8",
        (130, "made"): "end all",
    },
    "news": {
        (1, "crew"): "tick pingpong",
        (4, "got"): "tick plugin.reply",
        (10, "got"): "tick plugin.PluginCrashed",
        (16, "got"): "tick snapshot",
        (20, "got"): "tick window 2",
        (40, "got"): "end all",
    },
    "plugins": {
        (1, "crew"): "call ask",
        (1, "outcome"): "call crash",
        (2, "outcome"): "call lie",
        (3, "outcome"): "call hang",
        (4, "outcome"): "call ask",
        (5, "outcome"): "end all",
    },
}


def record(recording: Path) -> str:
    """Play the show that `recording` is named after; return what it tells.

    Raises `DeckError` when the run does not come to its end.
    """
    name = recording.stem
    show = Show(*COMMANDS[name])
    show.start()
    events: list[Event] = []
    seen: Counter[str] = Counter()
    try:
        for event in show.follow(LONGEST_S):
            events.append(event)
            kind = event["kind"]
            seen[kind] += 1
            if what := CLICKS[name].get((seen[kind], kind)):
                time.sleep(HAND_S)
                show.tell(what)
    finally:
        show.end()
    if not events or events[-1]["kind"] != "over":
        raise DeckError(f"The show {name} did not come to its end.")
    today = datetime.now(UTC).date().isoformat()
    rows = ",\n".join(json.dumps(event) for event in events)
    return f'{{"recorded": "{today}", "events": [\n{rows}\n]}}\n'
