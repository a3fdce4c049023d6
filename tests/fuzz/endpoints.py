"""Both networked packages: an endpoint from a command line."""

import socket
from contextlib import suppress
from functools import partial
from typing import Any

from tests.fuzz.kit import fuzz, instrumented

with instrumented():
    from image_pipeline.transport import endpoints as ours
    from pingpong.support import endpoint as theirs

# No noise to a name server.
numeric: Any = partial(socket.getaddrinfo, flags=socket.AI_NUMERICHOST)
socket.getaddrinfo = numeric


def one(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    for scheme in ("", "tcp://", "ipc://"):
        endpoint = scheme + text
        with suppress(ours.Exposed):
            ours.check_exposure(endpoint, None, False)
        ours.host_trouble(endpoint)
        ours.needs_ipv6(endpoint)
        for what in ("bind", "connect"):
            with suppress(ours.Unusable), ours.usable(what, endpoint):
                pass
        for check in (theirs.check_bind, theirs.check_connect):
            with suppress(theirs.Unfit):
                check(endpoint)


if __name__ == "__main__":
    fuzz(one)
