"""The ventilator's three sockets, and who is at their other ends."""

from contextlib import ExitStack
from typing import Self

import zmq

from image_pipeline.transport import sockets
from image_pipeline.transport.curve import Keys
from image_pipeline.transport.monitor import Peers

MOST_TO_HEAR = 4 * 2**20  # bytes of one message of receipts
PATIENCE_S = 30.0  # for somebody who has to come, or to come back


class VentilatorSockets:
    """Binds when created, so that workers can be told the endpoints."""

    def __init__(
        self,
        *,
        context: zmq.Context[zmq.Socket[bytes]],
        tasks: str,
        results: str,
        receipts: str,
        keys: Keys | None = None,
        patience: float = PATIENCE_S,
    ) -> None:
        self.patience = patience
        self._keys = keys
        with ExitStack() as stack:
            enter = stack.enter_context
            self.tasks = enter(
                sockets.socket(
                    context,
                    zmq.PUSH,
                    most_bytes=1024,  # handshakes, and nothing else
                    high_water_mark=1,
                    buffer=sockets.SMALL_BUFFER,
                )
            )
            self.receipts = enter(
                sockets.socket(context, zmq.PULL, most_bytes=MOST_TO_HEAR)
            )
            self.plans = enter(sockets.socket(context, zmq.PUSH))
            self.workers = enter(Peers(self.tasks))
            self.sink = enter(Peers(self.plans))
            self.tasks_endpoint = sockets.bind(self.tasks, tasks, keys)
            self.receipts_endpoint = sockets.bind(
                self.receipts, receipts, keys
            )
            sockets.connect(self.plans, results, keys)
            self._sockets = stack.pop_all()
        self.results_endpoint = results

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._sockets.close()

    def is_sink(self, frame: zmq.Frame) -> bool:
        """Tell whether receipts come from the sink, as far as keys tell."""
        return self._keys is None or self._keys.is_server(frame)
