"""With zmq.asyncio a socket is awaited; its messages need one more care.

The same REQ and REP, the same endpoints and messages. What lock-step means
does not change: a REQ whose answer was given up on is closed and made anew.
New is that a `recv` can be cancelled, and by a time-out is: when that meets
a message, the message is lost. A poll has nothing to lose, so poll first,
and receive what is there.

Sockets: REQ connects, REP binds, of a `zmq.asyncio.Context`. Messages: as
everywhere. Why: one thread waits for many sockets. Sources: pyzmq,
zmq.asyncio, and its issue tracker, 1925 and 1938; libzmq documentation,
ZMQ_FD; Python, asyncio.timeout and asyncio.TaskGroup.
"""

import asyncio
import select
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import zmq
import zmq.asyncio

from tests.patterns.helpers import (
    PATIENCE_S,
    InThread,
    Spawn,
    bind_anywhere,
    in_a_loop,
    make_patient,
    sockets,
)

AsyncContext = zmq.asyncio.Context
AsyncSocket = zmq.asyncio.Socket


async def receive_within(socket: AsyncSocket, wait_s: float) -> bytes:
    """Return the next message, or raise TimeoutError; lose none."""
    if not await socket.poll(int(wait_s * 1000)):
        raise TimeoutError(f"no message in {wait_s} s")
    return await socket.recv()  # it is there, so nothing waits here


async def serve(server: AsyncSocket) -> None:
    """Answer every request, until this task is cancelled."""
    while True:
        await server.poll()  # a cancel meets us here, with empty hands
        await server.send(b"pong to " + await server.recv())


async def ask(
    context: AsyncContext, endpoint: str, request: bytes, wait_s: float
) -> bytes:
    """Ask once; raise TimeoutError if no answer comes within `wait_s`."""
    with context.socket(zmq.REQ) as client:  # closed on every way out
        client.linger = 0
        client.connect(endpoint)
        await client.send(request)
        return await receive_within(client, wait_s)


def serve_until_interrupted(_: zmq.SyncContext) -> None:
    """A program that serves until Ctrl-C, and then closes what it opened."""

    async def main() -> None:
        with AsyncContext() as context, context.socket(zmq.REP) as server:
            print(bind_anywhere(server), flush=True)
            try:
                await serve(server)
            finally:
                print("closing", flush=True)

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


@pytest.fixture
def loop_context(context: zmq.SyncContext) -> AsyncContext:
    """The context of the test, for sockets that are awaited."""
    shadow = AsyncContext.shadow(context)
    make_patient(shadow)
    return shadow


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


@in_a_loop
async def test_req_and_rep_work_as_ever(loop_context: AsyncContext) -> None:
    """The same request and reply, with `await` before recv and send."""
    with loop_context.socket(zmq.REP) as server:
        endpoint = bind_anywhere(server)
        serving = asyncio.create_task(serve(server))
        answer = await ask(loop_context, endpoint, b"ping", PATIENCE_S)
        assert answer == b"pong to ping"
        await _cancel(serving)


@in_a_loop
async def test_a_blocking_peer_cannot_tell_the_difference(
    loop_context: AsyncContext, context: zmq.SyncContext, in_thread: InThread
) -> None:
    """An asyncio server and a blocking client talk to each other."""

    def ask_blocking(endpoint: str) -> bytes:
        with context.socket(zmq.REQ) as client:
            client.connect(endpoint)
            client.send(b"ping")
            return client.recv()

    with loop_context.socket(zmq.REP) as server:
        answer = in_thread(ask_blocking, bind_anywhere(server))
        serving = asyncio.create_task(serve(server))
        assert await asyncio.wrap_future(answer) == b"pong to ping"
        await _cancel(serving)


@in_a_loop
async def test_a_blocking_recv_stops_every_other_task(
    loop_context: AsyncContext, context: zmq.SyncContext
) -> None:
    """A blocking wait in a coroutine stops the loop, an awaited one not."""
    loop, ticks = asyncio.get_running_loop(), 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        loop.call_later(0.01, tick)

    tick()
    with (
        context.socket(zmq.PULL) as blocking,
        loop_context.socket(zmq.PULL) as awaited,
    ):
        blocking.rcvtimeo = 200
        with pytest.raises(zmq.Again):
            blocking.recv()
        assert ticks == 1

        with pytest.raises(TimeoutError):
            await receive_within(awaited, 0.2)
        assert ticks > 2


@in_a_loop
async def test_a_time_out_ends_the_wait_and_the_lock_step(
    loop_context: AsyncContext, endpoint: str
) -> None:
    """After a time-out a REQ still waits for its answer: make a new one."""
    with loop_context.socket(zmq.REQ) as client:
        client.connect(endpoint)
        await client.send(b"to nobody")
        with pytest.raises(TimeoutError):
            await receive_within(client, 0.1)
        with pytest.raises(zmq.ZMQError) as out_of_turn:
            await client.send(b"again")
        assert out_of_turn.value.errno == zmq.EFSM

    loop_context.linger = -1  # the default, by which a question would stay
    with pytest.raises(TimeoutError):
        await ask(loop_context, endpoint, b"to nobody", wait_s=0.1)
    with loop_context.socket(zmq.REP) as server:
        server.bind(endpoint)
        serving = asyncio.create_task(serve(server))
        answer = await ask(loop_context, endpoint, b"new", PATIENCE_S)
        assert answer == b"pong to new"
        await _cancel(serving)


async def _recv_with_a_time_out(pull: AsyncSocket) -> bytes:
    async with asyncio.timeout(0.05):
        return await pull.recv()


async def _poll_with_a_time_out(pull: AsyncSocket) -> bytes:
    async with asyncio.timeout(0.05):
        return await receive_within(pull, PATIENCE_S)


async def _meet_a_time_out(
    receive: Callable[[], Coroutine[Any, Any, object]],
    send: Callable[[], object],
) -> None:
    """Let a message and a time-out of 50 ms reach the loop as one.

    It is held up for a while, as by a computation that takes too long. On a
    busy machine the time-out may come before the message: then again.
    """
    task = asyncio.ensure_future(receive())
    await asyncio.wait([task], timeout=0.01)
    while task.done() or task.cancelling():
        await asyncio.wait([task])
        task = asyncio.ensure_future(receive())
        await asyncio.wait([task], timeout=0.01)
    send()
    threading.Event().wait(0.1)
    with pytest.raises(TimeoutError):
        await task


@pytest.mark.parametrize(
    ("receive", "kept"),
    [(_recv_with_a_time_out, 0), (_poll_with_a_time_out, 10)],
    ids=["trap", "cure"],
)
@in_a_loop
async def test_a_time_out_that_meets_a_message_loses_it(
    loop_context: AsyncContext,
    context: zmq.SyncContext,
    receive: Callable[[AsyncSocket], Coroutine[Any, Any, bytes]],
    kept: int,
) -> None:
    """A `recv` that times out as its message comes has lost the message.

    pyzmq has received it, and the coroutine that waits is cancelled before
    it runs. From Python 3.12 on this holds for `wait_for` as well.
    """
    with (
        loop_context.socket(zmq.PULL) as pull,
        context.socket(zmq.PUSH) as push,
    ):
        pull.bind("inproc://late")
        push.connect("inproc://late")
        left = 0
        for _ in range(10):
            await _meet_a_time_out(
                lambda: receive(pull), lambda: push.send(b"!")
            )
            if await pull.poll(20):
                await pull.recv()
                left += 1
        assert left == kept


async def _serve_carelessly(server: AsyncSocket) -> None:
    while True:
        await server.send(b"pong to " + await server.recv())


@pytest.mark.parametrize(
    ("serving", "answered"),
    [(_serve_carelessly, False), (serve, True)],
    ids=["trap", "cure"],
)
@in_a_loop
async def test_a_server_that_is_cancelled_keeps_the_request_that_came(
    loop_context: AsyncContext,
    context: zmq.SyncContext,
    serving: Callable[[AsyncSocket], Coroutine[Any, Any, None]],
    answered: bool,
) -> None:
    """A server cancelled as a request comes may have lost the request."""

    async def serve_for_a_while(server: AsyncSocket) -> None:
        async with asyncio.timeout(0.05):
            await serving(server)

    with (
        loop_context.socket(zmq.REP) as server,
        context.socket(zmq.REQ) as client,
    ):
        server.bind("inproc://pong")
        client.connect("inproc://pong")
        await _meet_a_time_out(
            lambda: serve_for_a_while(server), lambda: client.send(b"ping")
        )
        with pytest.raises(TimeoutError):
            await serve_for_a_while(server)
        assert bool(client.poll(0)) == answered


@in_a_loop
async def test_no_message_is_lost_among_many_short_time_outs(
    loop_context: AsyncContext, context: zmq.SyncContext, in_thread: InThread
) -> None:
    """Poll first, and of thousands of messages not one is lost."""

    def send_all(endpoint: str) -> None:
        with context.socket(zmq.PUSH) as push:
            push.linger = int(PATIENCE_S * 1000)
            push.connect(endpoint)
            for number in range(3_000):
                push.send(b"%d" % number)

    received: list[int] = []
    with loop_context.socket(zmq.PULL) as pull:
        in_thread(send_all, bind_anywhere(pull))
        while len(received) < 3_000:
            try:
                async with asyncio.timeout(0.0004):
                    message = await receive_within(pull, PATIENCE_S)
                received.append(int(message))
            except TimeoutError:
                continue
    assert received == list(range(3_000))


@in_a_loop
async def test_a_hundred_requests_wait_at_the_same_time(
    loop_context: AsyncContext,
) -> None:
    """One thread has a hundred requests in flight, each with its answer.

    The server answers none before it holds them all: one after the other
    would never end.
    """

    async def answer_all_at_once(server: AsyncSocket) -> None:
        held = [await server.recv_multipart() for _ in range(100)]
        for *envelope, request in reversed(held):
            await server.send_multipart([*envelope, b"pong to " + request])

    with loop_context.socket(zmq.ROUTER) as server:
        endpoint = bind_anywhere(server)
        requests = [b"%d" % number for number in range(100)]
        _, *answers = await asyncio.gather(
            answer_all_at_once(server),
            *(ask(loop_context, endpoint, each, 20.0) for each in requests),
        )
    assert answers == [b"pong to " + request for request in requests]


def test_ctrl_c_ends_an_asyncio_program_and_closes_its_sockets(
    context: zmq.SyncContext, spawn: Spawn
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


def test_the_descriptor_of_a_socket_tells_of_news_only_once(
    context: zmq.SyncContext,
) -> None:
    """ZMQ_FD is edge triggered: read all there is, or wait for ever.

    zmq.asyncio does so. A loop of your own asks the socket, not the
    descriptor, whether there is more.
    """
    with sockets(context, zmq.PULL, zmq.PUSH) as (pull, push):
        pull.bind("inproc://edge")
        push.connect("inproc://edge")
        for number in (b"1", b"2", b"3"):
            push.send(number)
        descriptor = select.poll()
        descriptor.register(pull.fileno(), select.POLLIN)
        assert descriptor.poll(PATIENCE_S * 1000)
        assert pull.recv() == b"1"
        assert not descriptor.poll(100), "two messages wait, and no word"

        rest = []
        while pull.poll(0):
            rest.append(pull.recv())
        assert rest == [b"2", b"3"]
