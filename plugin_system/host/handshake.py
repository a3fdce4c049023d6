"""The handshake: what a plugin says once it is bound, and whether it fits.

    pipe PLUGIN_READY_FD  <- 4 bytes of length, big-endian; PluginReady

stdout is for what it prints, and a connected socket tells of no server.
"""

from contextlib import suppress
from typing import Final

from google.protobuf.message import DecodeError

from plugin_system import values
from plugin_system.messages_pb2 import PluginReady

MAX_READY_BYTES: Final = 1_000_000
SEE: Final = "see plugin_system/README.md"


class Unfit(Exception):
    """What was said is not what this host can work with."""


def read(said: bytes) -> PluginReady | None:
    """Return what the plugin says of itself; None while bytes are missing.

    Raises Unfit, with the reason.
    """
    size = int.from_bytes(said[:4], "big")
    missing = 4 + size - len(said)
    if size <= MAX_READY_BYTES and missing > 0:
        return None
    ready = PluginReady()
    with suppress(DecodeError):
        ready.ParseFromString(said[4:])
    if ready.magic != values.MAGIC or missing:
        what = f"what it wrote to PLUGIN_READY_FD, {said[:20]!r}"
        raise Unfit(f"{what}, is no PluginReady; {SEE}")
    oldest, newest = ready.protocol_min, ready.protocol_max
    if not 0 < oldest <= values.PROTOCOL <= newest:
        speaks = f"it speaks protocol {oldest} to {newest}"
        raise Unfit(f"{speaks}, and this host speaks {values.PROTOCOL}")
    names = {method.name for method in ready.methods}
    if "" in names or len(names) != len(ready.methods):
        raise Unfit("a method of it has no name, or two have one")
    return ready
