"""What the tests of ping-pong share: endpoints that stay theirs, servers."""

import socket
from collections.abc import Callable, Iterator

import pytest

from tests.support import Program

Start = Callable[..., Program]


@pytest.fixture
def endpoint() -> Iterator[str]:
    """A tcp endpoint that nobody else gets while the server is away.

    The port is bound here but never listened on. A server may still take it,
    since libzmq sets SO_REUSEADDR too; the kernel gives it to nobody else.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield f"tcp://127.0.0.1:{held.getsockname()[1]}"


def start_server(start: Start, endpoint: str, *options: str) -> Program:
    """A server process that is listening."""
    server = start("pingpong", "server", "--bind", endpoint, *options)
    server.wait_for("Listening")
    return server
