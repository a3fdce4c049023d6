"""A batch as others see it: how far it is, or that it cannot be finished."""

from dataclasses import dataclass, field


class Incomplete(Exception):
    """The batch cannot be finished; the text says why."""


@dataclass(slots=True)
class Status:
    """What there is to see of a batch in progress."""

    total: int
    # At which file each worker is, and since when.
    workers: dict[str, tuple[bytes, float]] = field(default_factory=dict)
    now: float = 0.0  # on the same clock
    note: str = ""
