"""With zmq.asyncio a socket is awaited; its messages need one more care.

Sockets and messages are as ever, and so is lock-step: a REQ that has given
up on its answer is closed and replaced. New is that a wait can be cancelled,
and this is what a time-out does. A `recv` that is cancelled as its message
comes has lost the message. A poll has nothing to lose: poll first, and then
receive what is there.

Sockets: REQ connects, REP binds, of a `zmq.asyncio.Context`. Messages: as
everywhere. Why: one thread waits for many sockets. Sources: pyzmq,
zmq.asyncio, and its issue tracker, 1925 and 1938; libzmq documentation,
ZMQ_FD; Python, asyncio.timeout.
"""

import asyncio
import select
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
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
    wait_until,
)
from tests.patterns.test_01_request_reply import ask as ask_blocking

AsyncContext = zmq.asyncio.Context
AsyncSocket = zmq.asyncio.Socket


async def receive_within(socket: AsyncSocket, wait_s: float) -> bytes:
    """Return the next message, or raise TimeoutError; lose none."""
    if await socket.poll(int(wait_s * 1000)):
        with suppress(zmq.Again):  # what woke the poll was no message
            return await socket.recv(zmq.DONTWAIT)
    raise TimeoutError(f"no message in {wait_s} s")


async def serve(server: AsyncSocket) -> None:
    """Answer every request, until this task is cancelled."""
    while True:
        await server.poll()  # a cancel meets us here, with empty hands
        with suppress(zmq.Again):
            request = await server.recv(zmq.DONTWAIT)
            await server.send(b"pong to " + request)


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
async def test_a_blocking_peer_cannot_tell_the_difference(
    loop_context: AsyncContext, context: zmq.SyncContext, in_thread: InThread
) -> None:
    """An asyncio server answers clients that await and clients that block."""
    with loop_context.socket(zmq.REP) as server:
        endpoint = bind_anywhere(server)
        blocking = in_thread(ask_blocking, context, endpoint, b"ping")
        serving = asyncio.create_task(serve(server))
        answer = await ask(loop_context, endpoint, b"ping", PATIENCE_S)
        assert (
            answer == await asyncio.wrap_future(blocking) == b"pong to ping"
        )
        await _cancel(serving)


@in_a_loop
async def test_a_blocking_recv_stops_every_other_task(
    loop_context: AsyncContext, context: zmq.SyncContext
) -> None:
    """A blocking wait in a coroutine stops the loop, an awaited one not."""
    ticks: list[str] = []
    asyncio.get_running_loop().call_later(0.01, ticks.append, "tick")
    with (
        context.socket(zmq.PULL) as blocking,
        loop_context.socket(zmq.PULL) as awaited,
    ):
        blocking.rcvtimeo = 100
        with pytest.raises(zmq.Again):
            blocking.recv()
        assert ticks == []

        with pytest.raises(TimeoutError):
            await receive_within(awaited, 0.1)
        assert ticks == ["tick"]


@in_a_loop
async def test_a_time_out_ends_the_wait_and_the_lock_step(
    loop_context: AsyncContext, endpoint: str
) -> None:
    """After a time-out a new REQ asks, and the old question is forgotten."""
    loop_context.linger = -1  # the default, by which a question would stay
    with pytest.raises(TimeoutError):
        await ask(loop_context, endpoint, b"to nobody", wait_s=0.1)
    with loop_context.socket(zmq.REP) as server:
        server.bind(endpoint)
        serving = asyncio.create_task(serve(server))
        answer = await ask(loop_context, endpoint, b"new", PATIENCE_S)
        assert answer == b"pong to new"
        await _cancel(serving)


async def _serve_carelessly(server: AsyncSocket) -> None:
    while True:
        await server.send(b"pong to " + await server.recv())


@pytest.mark.parametrize(
    ("wait", "kept"),
    [
        (lambda server: server.recv(), False),
        (lambda server: receive_within(server, PATIENCE_S), True),
        (_serve_carelessly, False),
        (serve, True),
    ],
    ids=["trap", "cure", "server's trap", "server's cure"],
)
@in_a_loop
async def test_a_time_out_that_meets_a_message_loses_it(
    loop_context: AsyncContext,
    context: zmq.SyncContext,
    wait: Callable[[AsyncSocket], Coroutine[Any, Any, object]],
    kept: bool,
) -> None:
    """A `recv` that is cancelled as its message comes has lost the message.

    pyzmq has received it, and the coroutine that waits is cancelled before
    it runs. From Python 3.12 on this holds for `wait_for` as well.
    """
    limit = asyncio.timeout(None)

    async def receive() -> None:
        async with limit:
            await wait(server)

    with (
        loop_context.socket(zmq.REP) as server,
        context.socket(zmq.REQ) as client,
    ):
        server.bind("inproc://late")
        client.connect("inproc://late")
        task = asyncio.create_task(receive())
        await asyncio.wait([task], timeout=0.01)  # now it waits for a request
        limit.reschedule(asyncio.get_running_loop().time() + 0.001)
        client.send(b"ping")
        threading.Event().wait(0.005)  # a loop that is held up sees both
        with pytest.raises(TimeoutError):
            await task
        assert bool(await server.poll(0)) == kept


@in_a_loop
async def test_what_wakes_a_poll_may_be_no_message(
    loop_context: AsyncContext,
) -> None:
    """A reply without an envelope ends the wait, and is not waited for."""
    with loop_context.socket(zmq.ROUTER) as careless:
        careless.bind("inproc://careless")
        asking = ask(loop_context, "inproc://careless", b"hello", PATIENCE_S)
        task = asyncio.create_task(asking)
        client, *_ = await careless.recv_multipart()
        await careless.send_multipart([client, b"no empty frame"])
        with pytest.raises(TimeoutError):
            await task


@in_a_loop
async def test_a_task_that_is_cancelled_gives_its_port_back(
    loop_context: AsyncContext, context: zmq.SyncContext
) -> None:
    """A task that is cancelled closes its socket, and its port is free."""
    bound = asyncio.get_running_loop().create_future()

    async def bind_and_serve() -> None:
        with loop_context.socket(zmq.REP) as server:
            bound.set_result(bind_anywhere(server))
            await serve(server)

    serving = asyncio.create_task(bind_and_serve())
    place = await bound
    with context.socket(zmq.REP) as successor:
        await _cancel(serving)

        def is_free() -> bool:  # libzmq gives it back in the background
            with suppress(zmq.ZMQError):
                successor.bind(place)
                return True
            return False

        wait_until(is_free, "the port is free")


@in_a_loop
async def test_a_hundred_requests_wait_at_the_same_time(
    loop_context: AsyncContext,
) -> None:
    """One thread has a hundred requests in flight, each with its answer.

    The server answers none before it has them all.
    """
    requests = [b"%d" % number for number in range(100)]
    with loop_context.socket(zmq.ROUTER) as server:
        endpoint = bind_anywhere(server)
        asking = asyncio.gather(
            *(ask(loop_context, endpoint, each, 20.0) for each in requests)
        )
        held = [await server.recv_multipart() for _ in requests]
        for *envelope, request in reversed(held):
            await server.send_multipart([*envelope, b"pong to " + request])
        assert await asking == [b"pong to " + each for each in requests]


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

        assert pull.poll(0), "though the socket knows of them"
