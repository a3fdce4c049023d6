"""Every form of an endpoint, put to the pipeline's sockets.

The table is that of ping-pong, where each form was put to libzmq itself.
"""

import pytest
import zmq

from image_pipeline.transport.endpoints import Unusable
from image_pipeline.transport.sockets import bound, connected
from tests.pingpong.test_endpoint import (
    FAILS,
    FORMS,
    MISREAD,
    NAMES,
    WORKS,
    Verdict,
    folder,
    port,
    written_out,
)

__all__ = ["folder", "port"]


@pytest.mark.parametrize(
    ("form", "verdict"), [(form, bind) for form, bind, _ in FORMS], ids=NAMES
)
def test_a_socket_binds_where_libzmq_would_and_is_never_misread(
    context: zmq.SyncContext, port: int, form: str, verdict: Verdict
) -> None:
    endpoint = written_out(form, port)
    try:
        with bound(context, zmq.PULL, endpoint):
            accepted = True
    except Unusable as error:
        accepted = "in use" in str(error)  # port 65535, say
    assert accepted == (verdict is WORKS)


@pytest.mark.parametrize(
    ("form", "verdict"), [(form, to) for form, _, to in FORMS], ids=NAMES
)
def test_a_socket_connects_where_libzmq_would_and_is_never_misread(
    context: zmq.SyncContext, port: int, form: str, verdict: Verdict
) -> None:
    """A host that nobody knows may come up later, so that is no error."""
    endpoint = written_out(form, port)
    try:
        with connected(context, zmq.PUSH, endpoint):
            accepted = True
    except Unusable:
        accepted = False
    if verdict in (FAILS, MISREAD):
        assert not accepted
    if verdict is WORKS:
        assert accepted


@pytest.mark.parametrize("host", ["[::1]", "[::ffff:127.0.0.1]", "127.0.0.1"])
def test_a_message_arrives_over_either_family(
    context: zmq.SyncContext, host: str
) -> None:
    with (
        bound(context, zmq.PULL, f"tcp://{host}:*") as results,
        connected(context, zmq.PUSH, results.endpoint) as worker,
    ):
        worker.send(b"made")
        assert results.poll(5_000)
        assert results.recv() == b"made"
