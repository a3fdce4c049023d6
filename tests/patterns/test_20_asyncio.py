"""With zmq.asyncio a socket is awaited, and everything else stays the same.

The same REQ and REP, the same endpoints and messages; `recv` is a coroutine
that can be given a time-out and cancelled. What lock-step means does not
change: a REQ whose answer was given up on is closed and made anew.

Sockets: REQ connects, REP binds, of a `zmq.asyncio.Context`. Sources: pyzmq,
zmq.asyncio; Python, asyncio.timeout and asyncio.TaskGroup.
"""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, cast

import pytest
import zmq
import zmq.asyncio

from tests.patterns.helpers import PATIENCE_S, bind_anywhere, make_patient
from tests.support import Program, terminate


async def serve(server: zmq.asyncio.Socket) -> None:
    """Answer every request, until this task is cancelled."""
    while True:
        request = await server.recv()
        await server.send(b"pong to " + request)


async def ask(
    context: zmq.asyncio.Context, endpoint: str, request: bytes, wait_s: float
) -> bytes:
    """Ask once; raise TimeoutError if no answer comes within `wait_s`."""
    with context.socket(zmq.REQ) as client:  # closed on every way out
        client.connect(endpoint)
        async with asyncio.timeout(wait_s):
            await client.send(request)
            return bytes(await client.recv())


def serve_until_interrupted(_: zmq.Context[Any]) -> None:
    """A program that serves until Ctrl-C, and then closes what it opened."""

    async def main() -> None:
        with (
            zmq.asyncio.Context() as context,
            context.socket(zmq.REP) as server,
        ):
            print(bind_anywhere(server), flush=True)
            try:
                await serve(server)
            finally:
                print("closing", flush=True)

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def _within_patience(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, PATIENCE_S))


@pytest.fixture
def async_context() -> Iterator[zmq.asyncio.Context]:
    context = zmq.asyncio.Context()
    make_patient(context)
    yield context
    terminate(cast(zmq.Context[Any], context))


def test_req_and_rep_work_as_ever(async_context: zmq.asyncio.Context) -> None:
    """The same request and reply, with `await` before recv and send."""

    async def main() -> None:
        with async_context.socket(zmq.REP) as server:
            endpoint = bind_anywhere(server)
            async with asyncio.TaskGroup() as tasks:
                serving = tasks.create_task(serve(server))
                answer = await ask(
                    async_context, endpoint, b"ping", PATIENCE_S
                )
                serving.cancel()
        assert answer == b"pong to ping"

    _within_patience(main())


def test_a_blocking_peer_cannot_tell_the_difference(
    async_context: zmq.asyncio.Context,
    context: zmq.Context[Any],
    in_thread: Callable[..., Any],
) -> None:
    """An asyncio server and a blocking client talk to each other."""

    def ask_blocking(endpoint: str) -> bytes:
        with context.socket(zmq.REQ) as client:
            client.connect(endpoint)
            client.send(b"ping")
            return bytes(client.recv())

    async def main() -> None:
        with async_context.socket(zmq.REP) as server:
            endpoint = bind_anywhere(server)
            serving = asyncio.create_task(serve(server))
            future = in_thread(ask_blocking, endpoint)
            assert await asyncio.wrap_future(future) == b"pong to ping"
            serving.cancel()
            await asyncio.wait([serving])

    _within_patience(main())


async def _ticks_while(waiting: Callable[[], Any]) -> int:
    """Count how often another task runs during `waiting`."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            turn = asyncio.Event()
            asyncio.get_running_loop().call_soon(turn.set)
            await turn.wait()
            ticks += 1

    ticking = asyncio.create_task(tick())
    with pytest.raises(zmq.Again):
        result = waiting()
        if asyncio.isfuture(result):
            await result
    during = ticks
    ticking.cancel()
    await asyncio.wait([ticking])
    return during


def test_a_blocking_recv_stops_every_other_task(
    async_context: zmq.asyncio.Context, context: zmq.Context[Any]
) -> None:
    """A blocking recv in a coroutine stops the loop, an awaited one not."""

    async def main() -> None:
        with (
            context.socket(zmq.PULL) as blocking,
            async_context.socket(zmq.PULL) as awaited,
        ):
            blocking.rcvtimeo = awaited.rcvtimeo = 300
            assert await _ticks_while(blocking.recv) == 0

            assert await _ticks_while(awaited.recv) > 0

    _within_patience(main())


def test_a_time_out_ends_the_wait_and_the_lock_step(
    async_context: zmq.asyncio.Context, endpoint: str
) -> None:
    """After a time-out a REQ still waits for its answer: make a new one."""

    async def main() -> None:
        with async_context.socket(zmq.REQ) as client:
            client.connect(endpoint)
            await client.send(b"to nobody")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await client.recv()
            with pytest.raises(zmq.ZMQError) as out_of_turn:
                await client.send(b"again")
            assert out_of_turn.value.errno == zmq.EFSM

        with pytest.raises(TimeoutError):
            await ask(async_context, endpoint, b"to nobody", wait_s=0.1)
        with async_context.socket(zmq.REP) as server:
            server.bind(endpoint)
            serving = asyncio.create_task(serve(server))
            answer = await ask(async_context, endpoint, b"new", PATIENCE_S)
            assert answer == b"pong to new"
            serving.cancel()
            await asyncio.wait([serving])

    _within_patience(main())


def test_a_cancelled_recv_leaves_the_message_for_the_next(
    async_context: zmq.asyncio.Context,
) -> None:
    """Cancelling a recv that has received nothing loses nothing.

    A cancel that meets the message on its way is another matter: pyzmq does
    not promise that it is kept (pyzmq's issue tracker, 918).
    """

    async def main() -> None:
        with (
            async_context.socket(zmq.PULL) as pull,
            async_context.socket(zmq.PUSH) as push,
        ):
            push.connect(bind_anywhere(pull))
            waiting = asyncio.ensure_future(pull.recv())
            await asyncio.wait([waiting], timeout=0.05)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

            await push.send(b"for whoever comes next")
            assert await pull.recv() == b"for whoever comes next"

    _within_patience(main())


def test_a_hundred_requests_wait_at_the_same_time(
    async_context: zmq.asyncio.Context,
) -> None:
    """One thread has a hundred requests in flight, each with its answer.

    The server answers none before it holds them all: one after the other
    would never end.
    """

    async def answer_all_at_once(server: zmq.asyncio.Socket) -> None:
        held = [await server.recv_multipart() for _ in range(100)]
        for *envelope, request in reversed(held):
            await server.send_multipart([*envelope, b"pong to " + request])

    async def main() -> None:
        with async_context.socket(zmq.ROUTER) as server:
            endpoint = bind_anywhere(server)
            requests = [b"%d" % number for number in range(100)]
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(answer_all_at_once(server))
                asked = [
                    tasks.create_task(
                        ask(async_context, endpoint, request, PATIENCE_S)
                    )
                    for request in requests
                ]
        answers = [task.result() for task in asked]
        assert answers == [b"pong to " + request for request in requests]

    _within_patience(main())


def test_cancelling_a_server_closes_its_socket(
    async_context: zmq.asyncio.Context,
) -> None:
    """A cancelled task leaves its `with` block, so its port is free again."""

    async def main() -> None:
        bound: asyncio.Future[str] = asyncio.Future()

        async def serve_with_own_socket() -> None:
            with async_context.socket(zmq.REP) as server:
                bound.set_result(bind_anywhere(server))
                await serve(server)

        serving = asyncio.create_task(serve_with_own_socket())
        endpoint = await bound
        with async_context.socket(zmq.REP) as successor:
            with pytest.raises(zmq.ZMQError) as taken:
                successor.bind(endpoint)
            assert taken.value.errno == zmq.EADDRINUSE
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving

    _within_patience(main())  # terminates its context, so all is closed


def test_ctrl_c_ends_an_asyncio_program_and_closes_its_sockets(
    context: zmq.Context[Any], spawn: Callable[..., Program]
) -> None:
    """An interrupted asyncio server closes its sockets and says nothing."""
    program = spawn(serve_until_interrupted)
    with context.socket(zmq.REQ) as client:
        client.connect(program.wait_for(r"tcp://\S+").group())
        client.send(b"ping")
        assert client.recv() == b"pong to ping"
    program.signal(signal.SIGINT)
    assert program.wait() == 130
    assert program.stdout.endswith("closing\n")
    assert program.stderr == ""
