"""Receive what a poll has announced, and never wait for it.

A message without an envelope makes a REP or REQ socket readable; recv drops
it and would wait for the next one, past every deadline and every signal.
"""

import zmq

MAX_MESSAGE = 1024 * 1024  # bytes, of a ping and of a pong


def receive(socket: zmq.SyncSocket) -> list[bytes]:
    """The frames of the message that is there, or none where none is."""
    try:
        return socket.recv_multipart(zmq.DONTWAIT)
    except zmq.Again:
        return []
