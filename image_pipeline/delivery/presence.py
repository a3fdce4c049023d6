"""Attendance: whether those are there without whom no batch goes on.

It reads what the sockets' monitors have counted, and on inproc, where
monitors say nothing, who has said READY.
"""

from collections.abc import Callable

from image_pipeline.delivery.ledger import TIMEOUT_GRACE_S
from image_pipeline.delivery.roll import Roll
from image_pipeline.delivery.sockets import VentilatorSockets
from image_pipeline.status import Incomplete


class Attendance:
    """Workers and sink of one batch; nobody is waited for without end."""

    def __init__(
        self,
        ends: VentilatorSockets,
        roll: Roll,
        timeout: float,
        now: Callable[[], float],
    ) -> None:
        self._ends = ends
        self._roll = roll
        self._timeout = timeout  # seconds that one image may take
        self._started = False
        self._now = now
        self._heard = self._absent_since = now()

    @property
    def workers(self) -> int:
        """How many workers are there now."""
        if is_inproc(self._ends.tasks_endpoint):
            return len(self._roll.present)
        return self._ends.workers.connected

    def start(self, wanted: int) -> str:
        """Wait for no more workers; return a note if some have not come.

        Raises Incomplete when there is none at all.
        """
        self._started = True
        self._absent_since = self._now()
        came = self.workers
        if not came:
            raise Incomplete(self._nobody())
        if came < wanted:
            return f"started with {came} of {wanted} workers"
        return ""

    def hear(self, now: float) -> None:
        """The sink has said something."""
        self._heard = now

    def check(self, now: float) -> None:
        """Raise Incomplete when somebody is missing for too long."""
        ends, patience = self._ends, self._ends.patience
        if why := ends.sink.refusal:
            raise Incomplete(f"the sink refuses us: {why}")
        if self.workers:
            self._absent_since = now
        elif self._started and now - self._absent_since > patience:
            raise Incomplete(self._nobody())
        silence = now - self._heard
        missing = not ends.sink.connected and not is_inproc(
            ends.results_endpoint
        )
        if missing and silence > patience:
            raise Incomplete(
                f"no sink at {ends.results_endpoint} for {patience:g} s"
            )
        if silence > self._timeout + TIMEOUT_GRACE_S + patience:
            raise Incomplete(f"nothing was heard for {silence:.0f} s")

    def _nobody(self) -> str:
        refusal = self._ends.workers.refusal
        why = f"; one was refused: {refusal}" if refusal else ""
        return (
            f"no worker at {self._ends.tasks_endpoint} for "
            f"{self._ends.patience:g} s{why}"
        )


def is_inproc(endpoint: str) -> bool:
    return endpoint.startswith("inproc:")
