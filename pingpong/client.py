"""The client: asks again until it is answered, or has no try left.

Role      client
Socket    REQ, connected
Messages  Ping out, Pong in, one frame each (proto/messages.proto)

REQ sends and receives strictly in turn: after a lost reply it waits for
ever, and a second send raises EFSM. The cure is the Guide's Lazy Pirate
(chapter 4): poll with a deadline; on silence close the socket, open a new
one and ask again. A ping may then be answered twice and received once, so
this suits requests that do no harm when done twice.
"""

import random
from collections.abc import Callable
from typing import Self

import zmq
from google.protobuf.message import DecodeError

from pingpong.messages_pb2 import Ping, Pong
from pingpong.support.receive import MAX_MESSAGE, receive
from pingpong.support.stop import Stop

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds between two tries


class LostError(Exception):
    """A ping ended without its pong; the text says why."""


class StoppedError(Exception):
    """`stop` was set while a ping was on its way."""


class Client:
    """A REQ socket that is replaced whenever the server fails to answer.

    `timeout` is in seconds and for one try; `on_retry` hears the number of
    the try that is about to start. Not to be shared between threads. An
    IPv6 endpoint needs `context.ipv6` (`support.endpoint.needs_ipv6`).
    """

    def __init__(
        self,
        context: zmq.SyncContext,
        endpoint: str,
        stop: Stop,
        *,
        timeout: float = 1.0,
        retries: int = 5,
        on_retry: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.context, self.endpoint, self.stop = context, endpoint, stop
        self.milliseconds = max(1, round(timeout * 1000))
        self.retries, self.on_retry = retries, on_retry
        self.retried = 0
        self.silence = (
            f"no answer in {retries + 1} tries of {self.milliseconds} ms; "
            "is a server listening?"
        )
        self.open()

    def ask(self, ping: Ping) -> Pong:
        """Return the pong. Raises LostError, or StoppedError by `stop`."""
        request = ping.SerializeToString()
        for failed in range(self.retries + 1):
            if failed:
                self.pause(failed)
            if self.req.closed:
                self.open()
            self.req.send(request)
            ready = dict(self.poller.poll(self.milliseconds))
            if self.stop.fd in ready:
                raise StoppedError
            if reply := receive(self.req):
                return check(reply, ping)
            self.close()
        raise LostError(self.silence)

    def open(self) -> None:
        self.req = self.context.socket(zmq.REQ)
        self.req.maxmsgsize = MAX_MESSAGE  # a pong is no longer than its ping
        # Bounds the send; linger 0 forgets what an old socket has not sent.
        self.req.sndtimeo = self.milliseconds
        self.req.linger = 0
        try:
            self.req.connect(self.endpoint)
        except zmq.ZMQError:
            self.close()
            raise
        self.poller = zmq.Poller()
        self.poller.register(self.req, zmq.POLLIN)
        self.poller.register(self.stop.fd, zmq.POLLIN)

    def close(self) -> None:
        self.req.close(linger=0)

    def pause(self, failed: int) -> None:
        """Back off with full jitter, so that clients do not come as one."""
        if self.stop.wait(random.uniform(0, longest_pause(failed))):
            raise StoppedError
        self.retried += 1
        self.on_retry(failed + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def longest_pause(failed: int) -> float:
    """Seconds: twice as long after each failed try, up to a limit."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failed - 1, 10))


def check(frames: list[bytes], ping: Ping) -> Pong:
    """The pong in a reply to `ping`. Raises LostError for anything else."""
    try:
        (frame,) = frames
        pong = Pong.FromString(frame)
    except (ValueError, DecodeError):
        raise LostError("the server's answer is not a Pong") from None
    if pong.error:
        raise LostError(f"the server refused: {pong.error[:200]!r}")
    if pong.id != ping.id:
        raise LostError("the server's answer is for another ping")
    if pong.payload != ping.payload:
        raise LostError("the server's answer has another payload")
    return pong
