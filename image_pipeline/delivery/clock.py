"""A clock that stands still while this process does. Pure, like the ledger.

After Ctrl-Z and `fg` everything that could be due is due at once: whoever was
at an image seems to hang, and all seem to have been silent. So the time in
which nobody looked at the clock does not count, and a timer that ran out just
after it says nothing of an image. A death still does: where reading a file
takes long, that too looks like a stop, and a killer would live for ever.
"""

from dataclasses import dataclass
from math import inf

GAP_S = 2.0  # between two looks, where there should be ten a second
AFTERMATH_S = 5.0  # until timers and connections have got over it


@dataclass(slots=True)
class Clock:
    """To be looked at often; a moment is one of the monotonic clock."""

    _looked: float
    _stood_still: float = 0.0  # seconds, in all
    _woke: float = -inf

    def at(self, moment: float) -> float:
        """Return what this clock shows at `moment`."""
        gap = moment - self._looked
        if gap > GAP_S:
            self._stood_still += gap
            self._woke = moment
        self._looked = moment
        return moment - self._stood_still

    @property
    def just_woke(self) -> bool:
        return self._looked - self._woke < AFTERMATH_S
