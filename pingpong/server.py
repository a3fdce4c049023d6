"""The server: answers each ping with a pong, and outlives every client.

Role      server
Socket    REP, bound (with several workers: connected to broker.py)
Messages  Ping in, Pong out, one frame each (proto/messages.proto)

REP takes requests from any number of clients in turn and routes each reply
to the one who asked; a reply to a client that has gone is dropped by libzmq
(zmq_socket documentation, ZMQ_REP). protobuf does not validate, so `answer`
checks what `Ping` leaves open. A request is answered even where it is wrong:
REP cannot receive the next one before it has sent something.
"""

from dataclasses import dataclass

import zmq
from google.protobuf.message import DecodeError

from pingpong.messages_pb2 import Ping, Pong
from pingpong.support.receive import MAX_MESSAGE, receive
from pingpong.support.stop import Stop


@dataclass
class Tally:
    """How many requests were answered, and how many were no Ping."""

    answered: int = 0
    refused: int = 0

    def __str__(self) -> str:
        refused = f"refused {self.refused} requests"
        return f"Answered {self.answered} pings, {refused}"

    def add(self, pong: Pong) -> None:
        self.refused += bool(pong.error)
        self.answered += not pong.error


def serve(rep: zmq.SyncSocket, stop: Stop, work: float = 0) -> Tally:
    """Answer what comes until `stop`; `work` seconds pass for each."""
    tally = Tally()
    poller = zmq.Poller()
    poller.register(rep, zmq.POLLIN)
    poller.register(stop.fd, zmq.POLLIN)
    while True:
        ready = dict(poller.poll())
        if stop.fd in ready:
            return tally
        if request := receive(rep):
            pong = answer(request)
            if work:
                stop.wait(work)
            rep.send(pong.SerializeToString())
            tally.add(pong)


def answer(frames: list[bytes]) -> Pong:
    """The pong for a request; its `error` says what was wrong with it."""
    if len(frames) != 1:
        return Pong(error=f"not a Ping: {len(frames)} frames, not one")
    if len(frames[0]) > MAX_MESSAGE:
        return Pong(error=f"too long: more than {MAX_MESSAGE} bytes")
    try:
        ping = Ping.FromString(frames[0])
    except DecodeError:
        return Pong(error="not a Ping: protobuf cannot read it")
    if not ping.id:
        return Pong(error="not a Ping: its id is 0 or missing")
    return Pong(id=ping.id, payload=ping.payload)
