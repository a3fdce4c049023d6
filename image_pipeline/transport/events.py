"""Events: what happens here, published to programs that subscribe.

Role      a bystander: without an endpoint it does nothing
Socket    PUB, connected to the SUB or XSUB of a listener that binds
Messages  two frames: a topic such as b"pipeline.made", and JSON

PUB never waits: it drops what nobody subscribes to, and what is too much.
"""

from json import dumps
from threading import RLock

import zmq


class Events:
    """Publishes from any thread. Raises OSError for a bad endpoint."""

    def __init__(self, endpoint: str = "") -> None:
        self._one_at_a_time = RLock()
        self._context = zmq.Context() if endpoint else None
        self._pub = self._context.socket(zmq.PUB) if self._context else None
        try:
            if self._pub:
                self._pub.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise OSError(error.errno, str(error), endpoint) from None

    def tell(self, topic: str, **more: object) -> None:
        with self._one_at_a_time:
            if self._pub:
                self._pub.send_string(topic, zmq.NOBLOCK | zmq.SNDMORE)
                self._pub.send_string(dumps(more), zmq.NOBLOCK)

    def close(self) -> None:
        with self._one_at_a_time:
            if self._pub and self._context:
                self._context.destroy(linger=100)  # ms
            self._pub = None
