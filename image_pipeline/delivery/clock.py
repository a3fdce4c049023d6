"""A clock that stands still while this process does. Pure, like the ledger.

After Ctrl-Z and `fg` everything that could be due is due at once: all seem to
hang, and all seem to have been silent. So the time in which nobody looked at
the clock does not count.
"""

from dataclasses import dataclass

GAP_S = 2.0  # between two looks, where there should be ten a second


@dataclass(slots=True)
class Clock:
    """To be looked at often; a moment is one of the monotonic clock."""

    _looked: float
    _stood_still: float = 0.0  # seconds, in all

    def at(self, moment: float) -> float:
        """Return what this clock shows at `moment`."""
        gap = moment - self._looked
        if gap > GAP_S:
            self._stood_still += gap
        self._looked = moment
        return moment - self._stood_still
