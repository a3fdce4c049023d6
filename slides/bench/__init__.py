"""Every figure of the talk, measured in one run beside the alternatives.

Programs take turns, round by round, so that other work on the machine
slows all of them alike. Compare the ratios: times belong to a machine.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from slides import DeckError

if TYPE_CHECKING:
    from slides.bench.kit import Bench

PACKAGES = ("pingpong", "image_pipeline", "plugin_system")


def measure(
    package: str, say: Callable[[str], None] = lambda _: None
) -> "Bench":
    """Measure one package; raise DeckError where a program fails."""
    from zmq import ZMQError

    from plugin_system.errors import CallError
    from slides.bench import image_pipeline, pingpong, plugin_system

    try:
        if package == "pingpong":
            return pingpong.measure(4_000, say=say)
        if package == "plugin_system":
            return plugin_system.measure(3_000, say=say)
        return image_pipeline.measure(say=say)
    except (OSError, ZMQError, CallError) as error:
        raise DeckError(f"Cannot measure {package}: {error}.") from error
