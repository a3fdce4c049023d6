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
    broken: bool = False
    _deaths: deque[float] = field(default_factory=deque)
    _not_before: float = 0.0
    _failed_probes: int = 0

    def wait(self, now: float) -> float:
        """Return the seconds until the plugin may be started."""
        return max(0.0, self._not_before - now)

    def died(self, now: float) -> None:
        """Note a death, or a start that failed."""
        self._deaths.append(now)
        while self._deaths[0] <= now - self.policy.window:
            self._deaths.popleft()
        if self.broken:
            self._failed_probes += 1
        self.broken = self.broken or len(self._deaths) >= self.policy.deaths
        if self.broken:
            longest = self.policy.longest_pause
            times = self._failed_probes
            delay = self._doubled(self.policy.pause, times, longest)
        elif len(self._deaths) == 1:
            delay = 0.0
        else:
            longest = self.policy.longest_backoff
            times = len(self._deaths) - 2
            delay = self._doubled(self.policy.backoff, times, longest)
        self._not_before = now + delay

    def answered(self) -> None:
        """Note a good reply: it closes the case of a broken plugin."""
        if self.broken:
            self.broken = False
            self._failed_probes = 0
            self._deaths.clear()
            self._not_before = 0.0

    def _doubled(self, first: float, times: int, longest: float) -> float:
        # Between half and all of it, so that many hosts do not agree.
        whole = min(longest, first * 2.0 ** min(times, 30))
        return whole * self.jitter.uniform(0.5, 1.0)
