"""What became of the pings: counts that add up, and round-trip times."""

import random
from collections import Counter
from dataclasses import dataclass, field
from math import ceil

SAMPLES = 10_000
REASONS = 100  # texts that are kept: a server may send another each time


@dataclass(frozen=True)
class Outcome:
    """The end of a ping; `rtt` is in seconds, from the first try."""

    seq: int
    retries: int
    rtt: float | None = None
    lost: str = ""

    def __str__(self) -> str:
        again = f" retries={self.retries}" if self.retries else ""
        if self.rtt is not None:
            return f"pong seq={self.seq} time={self.rtt * 1e3:.3f} ms{again}"
        if self.lost:
            return f"lost seq={self.seq}: {self.lost}{again}"
        return f"interrupted seq={self.seq}{again}"


@dataclass
class Report:
    """sent == received + lost + interrupted, for any number of clients.

    Past SAMPLES round trips `times` is a uniform sample (algorithm R).
    """

    received: int = 0
    lost: int = 0
    interrupted: int = 0
    retries: int = 0
    least: float = float("inf")
    most: float = 0.0
    total: float = 0.0
    times: list[float] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def sent(self) -> int:
        return self.received + self.lost + self.interrupted

    def add(self, outcome: Outcome) -> None:
        self.retries += outcome.retries
        rtt = outcome.rtt
        if rtt is None:
            self.lost += bool(outcome.lost)
            self.interrupted += not outcome.lost
            reason = outcome.lost or "interrupted"
            if reason not in self.reasons and len(self.reasons) >= REASONS:
                reason = "other"
            self.reasons[reason] += 1
            return
        self.received += 1
        self.total += rtt
        self.least = min(self.least, rtt)
        self.most = max(self.most, rtt)
        if len(self.times) < SAMPLES:
            self.times.append(rtt)
        elif (place := random.randrange(self.received)) < SAMPLES:
            self.times[place] = rtt

    def rtt(self) -> dict[str, float]:
        """min, avg, p50, p99 and max in seconds; empty without a pong."""
        if not self.received:
            return {}
        times = sorted(self.times)
        return {
            "min": self.least,
            "avg": self.total / self.received,
            "p50": quantile(times, 0.50),
            "p99": quantile(times, 0.99),
            "max": self.most,
        }

    def as_dict(self) -> dict[str, object]:
        """All of it for machines; times in milliseconds."""
        return {
            "sent": self.sent,
            "received": self.received,
            "lost": self.lost,
            "interrupted": self.interrupted,
            "retries": self.retries,
            "reasons": dict(self.reasons),
            "rtt_ms": {k: round(v * 1e3, 4) for k, v in self.rtt().items()},
        }

    def __str__(self) -> str:
        interrupted = self.interrupted and f", {self.interrupted} interrupted"
        lost = 100 * self.lost / max(1, self.received + self.lost)
        counts = (
            f"{self.sent} sent, {self.received} received, {self.lost} lost "
            f"({lost:.3g} %){interrupted or ''}, {self.retries} retries"
        )
        if not (rtt := self.rtt()):
            return counts
        times = "/".join(f"{each * 1e3:.3f}" for each in rtt.values())
        return f"{counts}\nrtt {'/'.join(rtt)} = {times} ms"


def quantile(ordered: list[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)]
