"""Every figure of the talk, measured in one run against the rivals.

`kit`        machine, versions, rows, claims, tables
`stopwatch`  a whole command: its time, CPU and memory
`pingpong`, `image_pipeline`, `plugin_system`  one bench for each package,
             with its rivals beside it

Contenders take turns, round by round, so that other work on the machine
slows all of them alike. Absolute times belong to the machine; compare the
ratios.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from slides import DeckError

if TYPE_CHECKING:
    from slides.bench.kit import Bench

PACKAGES = ("pingpong", "image_pipeline", "plugin_system")


def measure(
    package: str,
    *,
    full: bool = False,
    photographs: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> "Bench":
    """Measure one package; `say` hears of the progress.

    Raises DeckError where a contender fails.
    """
    from zmq import ZMQError

    from plugin_system.errors import CallError
    from slides.bench import image_pipeline, pingpong, plugin_system

    try:
        if package == "pingpong":
            return pingpong.measure(40_000 if full else 4_000, say=say)
        if package == "plugin_system":
            return plugin_system.measure(30_000 if full else 3_000, say=say)
        size = image_pipeline.FULL if full else image_pipeline.QUICK
        return image_pipeline.measure(photographs, size, say)
    except (OSError, ZMQError, CallError) as error:
        raise DeckError(f"Cannot measure {package}: {error}.") from error
