"""When may a plugin be started again? A decision without clock or process.

A budget per window of time, not a count of failures in a row: a plugin that
crashes every second and answers in between is broken all the same, until one
probe after a pause lives long enough to answer. Each failed probe doubles the
pause. (Nygard, Release It!, "Circuit Breaker"; see jupyter_client#186.)
"""

import random
from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True)
class RestartPolicy:
    """How often a plugin may die. All times are in seconds."""

    deaths: int = 5
    window: float = 60.0
    # The first restart is at once, the next after `backoff`, then doubling.
    backoff: float = 0.1
    longest_backoff: float = 5.0
    pause: float = 15.0
    longest_pause: float = 300.0


@dataclass
class RestartBudget:
    """The deaths of one plugin. `now` is a monotonic time everywhere."""

    policy: RestartPolicy = field(default_factory=RestartPolicy)
    jitter: random.Random = field(default_factory=random.Random)
    _deaths: deque[float] = field(default_factory=deque)
    _not_before: float = 0.0
    _pauses: int = 0  # since it broke: one, and one more a failed probe

    @property
    def broken(self) -> bool:
        return self._pauses > 0

    def wait(self, now: float) -> float:
        """Return the seconds until the plugin may be started."""
        return max(0.0, self._not_before - now)

    def died(self, now: float) -> None:
        """Note a death, or a start that failed."""
        policy = self.policy
        self._deaths.append(now)
        while self._deaths[0] <= now - policy.window:
            self._deaths.popleft()
        if self.broken or len(self._deaths) >= policy.deaths:
            first, longest = policy.pause, policy.longest_pause
            times = self._pauses
            self._pauses += 1
        else:
            first, longest = policy.backoff, policy.longest_backoff
            times = len(self._deaths) - 2
        self._not_before = now
        if times >= 0:  # the first restart is at once
            # Between half and all of it, so that many hosts do not agree.
            whole = min(longest, first * 2.0 ** min(times, 30))
            self._not_before += whole * self.jitter.uniform(0.5, 1.0)

    def answered(self) -> None:
        """Note a good reply: it closes the case of a broken plugin."""
        if self.broken:
            self._pauses = 0
            self._deaths.clear()
            self._not_before = 0.0
