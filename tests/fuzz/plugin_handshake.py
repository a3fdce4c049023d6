"""plugin_system: what a process says of itself, in pieces."""

from contextlib import suppress

from tests.fuzz.kit import fuzz, instrumented

with instrumented():
    from plugin_system.host import handshake


def one(data: bytes) -> None:
    framed = len(data).to_bytes(4, "big") + data
    for said in (data, framed):
        with suppress(handshake.Unfit):
            assert handshake.read(said[:-1]) is None or said is data
        with suppress(handshake.Unfit):
            ready = handshake.read(said)
            assert ready is None or all(each.name for each in ready.methods)


if __name__ == "__main__":
    fuzz(one)
