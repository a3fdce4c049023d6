"""pingpong: what a server is sent, and what a client is answered."""

from contextlib import suppress

from tests.fuzz.kit import fuzz, instrumented

with instrumented():
    from google.protobuf.message import DecodeError

    from pingpong.messages_pb2 import Pong
    from pingpong.server import answer


def one(data: bytes) -> None:
    pong = answer([data])
    assert bool(pong.id) != bool(pong.error)
    assert Pong.FromString(pong.SerializeToString()) == pong
    assert answer([data, data]).error
    with suppress(DecodeError):
        Pong.FromString(data)


if __name__ == "__main__":
    fuzz(one)
