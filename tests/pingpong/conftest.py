"""What the tests of ping-pong share: endpoints that stay theirs, servers."""

from collections.abc import Callable, Iterator

import pytest

from pingpong.demo import held_endpoint
from tests.support import Program

Start = Callable[..., Program]


@pytest.fixture
def endpoint() -> Iterator[str]:
    """A tcp endpoint that nobody else gets while the server is away."""
    with held_endpoint() as held:
        yield held


def start_server(start: Start, endpoint: str, *options: str) -> Program:
    """A server process that is listening."""
    server = start("pingpong", "server", "--bind", endpoint, *options)
    server.wait_for("Listening")
    return server
