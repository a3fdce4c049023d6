"""Plays a show with nobody there, kills a worker in it, keeps the trace."""

import json
from datetime import UTC, datetime
from pathlib import Path

from slides import DeckError
from slides.live.shows import COMMANDS, Event, Show

LONGEST_S = 120
KILL_AFTER = 12  # results


def record(recording: Path) -> str:
    """Play the show that `recording` is named after; return what it tells.

    Raises `DeckError` when the run does not come to its end.
    """
    name = recording.stem
    show = Show(*COMMANDS[name])
    show.start()
    events: list[Event] = []
    is_killed = False
    try:
        for event in show.follow(LONGEST_S):
            events.append(event)
            made = sum(each["kind"] == "made" for each in events)
            if made >= KILL_AFTER and event["kind"] == "started":
                if not is_killed:
                    show.tell(f"kill {event['worker']}")
                is_killed = True
    finally:
        show.end()
    if not events or events[-1]["kind"] != "over":
        raise DeckError(f"The show {name} did not come to its end.")
    today = datetime.now(UTC).date().isoformat()
    rows = ",\n".join(json.dumps(event) for event in events)
    return f'{{"recorded": "{today}", "events": [\n{rows}\n]}}\n'
