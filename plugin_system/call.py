"""One call: a request goes out, one poll waits, four outcomes are possible.

Role: the client. Socket: REQ, connected over ipc to the plugin's REP. Out:
PluginCall. In: PluginReply. Why a poll over several descriptors: a REQ
socket alone waits for ever when its peer dies, since a connection that is
lost is no error to it.

    reply           the plugin answered
    crashed         its process ended
    protocol error  it broke the connection, or the turns of REQ and REP, or
                    sends without end; `host.incarnation` checks the reply
    timeout         the deadline passed

The process is handed in; how it is started and ended is not known here.
"""

import math
import select
import time
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final, Protocol

import zmq

# How long libzmq's thread may take to read what a dead process had sent;
# longest when the machine is busy, and under 1 ms otherwise.
LAST_WORDS_S: Final = 1.0
# What a process that broke its connection gets at least to end: an orderly
# end closes the connection first, and is no breach of the protocol.
ENDING_S: Final = 1.0
# How often to look at what a message that has no end yet costs.
LOOK_MS: Final = 50
ENDLESS: Final = "it sent a message without end"


class Outcome(Enum):
    REPLY = auto()
    CRASHED = auto()
    PROTOCOL_ERROR = auto()
    TIMEOUT = auto()


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call ended: `reply` is what came, `reason` why nothing did.

    `sent` is False where the plugin has surely not seen the request.
    """

    outcome: Outcome
    reply: bytes = b""
    reason: str = ""
    sent: bool = True


class Watched(Protocol):
    """A plugin's process, as a call sees it."""

    death: int  # a descriptor that is readable once the process has ended

    def has_died(self) -> bool: ...
    def floods(self) -> bool: ...
    def kill(self) -> None: ...


@dataclass
class Caller:
    """Calls one plugin over `requests`, whose monitor is `lost`.

    `grace` is how long the plugin may take to leave, in seconds.
    """

    requests: zmq.Socket[bytes]
    lost: zmq.Socket[bytes]
    process: Watched
    grace: float
    _changes: select.poll = field(default_factory=select.poll)

    def __post_init__(self) -> None:
        for each in (self.requests.FD, self.lost.FD, self.process.death):
            self._changes.register(each, select.POLLIN)

    def exchange(self, request: bytes, deadline: float) -> Answer:
        """Send `request`; return whichever outcome is first.

        `deadline` is a moment of time.monotonic(), in seconds.
        """
        try:
            self.requests.send(request, zmq.DONTWAIT)
        except zmq.Again:
            return self._ended("it closed the connection", deadline, False)
        except zmq.ZMQError:  # EFSM: frames of the last reply are unread
            return self._ended("it sent frames too many", deadline, False)
        # region outcomes
        # A reply beats the end of the process right after it. (ZMQ_FD tells
        # of a change, not of a state: zmq_getsockopt. And a recv that raises
        # Again has been seen to lose the KeyboardInterrupt of a Ctrl-C.)
        while (left := deadline - time.monotonic()) > 0:
            changed = self._changes.poll(min(left * 1000, LOOK_MS))
            if int(self.requests.get(zmq.EVENTS)) & zmq.POLLIN:
                return Answer(Outcome.REPLY, self.requests.recv(zmq.DONTWAIT))
            if self.process.has_died() or poll([self.lost], 0):
                return self._ended("it broke the connection", deadline)
            if not changed and self.process.floods():
                return Answer(Outcome.PROTOCOL_ERROR, reason=ENDLESS)
        return Answer(Outcome.TIMEOUT, reason="no reply")
        # endregion

    def _ended(
        self, reason: str, deadline: float, sent: bool = True
    ) -> Answer:
        """Return what came before the end, or how it ended.

        The process may still be ending, and has a moment for it: nobody is
        blamed before.
        """
        reply, death = self.requests, self.process.death
        left = deadline - time.monotonic()
        grace = max(ENDING_S, self.grace)
        events = poll([reply, death] if sent else [death], min(grace, left))
        if sent and death in events:
            # All that it sent has been read once the connection has ended,
            # unless a child of it holds the connection: that dies as well.
            self.process.kill()
            poll([reply, self.lost], LAST_WORDS_S)
        if sent and poll([reply], 0):
            return Answer(Outcome.REPLY, reply.recv(zmq.DONTWAIT))
        if death in events:
            return Answer(Outcome.CRASHED, sent=sent)
        if left < grace:
            return Answer(Outcome.TIMEOUT, reason="no reply", sent=sent)
        return Answer(Outcome.PROTOCOL_ERROR, reason=reason, sent=sent)


def poll(what: list[Any], seconds: float) -> set[Any]:
    """Return which of some sockets and descriptors are readable in time."""
    wait = max(0, math.ceil(seconds * 1000))
    events = zmq.zmq_poll([(each, zmq.POLLIN) for each in what], wait)
    return {each for each, _ in events}
