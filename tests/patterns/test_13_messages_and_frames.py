"""A message is one or more frames that arrive together or not at all.

Frames carry what must not be mixed up: a topic that a subscriber filters
on, the envelope that a reply travels back in, and bulk bytes beside a
header. A message must fit into memory, at both ends; what does not is sent
in chunks.

Sockets: PUSH and PULL, PUB and SUB, DEALER and REP. Messages: of several
frames. Why: whatever belongs together arrives together. Sources: libzmq
documentation, zmq_msg_send, zmq_socket and ZMQ_MAXMSGSIZE; Guide, chapter 2,
"Multipart Messages", and chapter 3; pyzmq, Socket.send (copy and track).
"""

import io
import random
import select
import socket as tcp
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import IO

import pytest
import zmq

from tests.patterns.helpers import (
    PATIENCE_S,
    bind_anywhere,
    is_silent,
    kill,
    watch,
)
from tests.support import Program

HALF = 20_000_000  # more than the kernel's buffers hold
PHOTO = bytes(2 * HALF)
END_OF_FILE = b""
CHUNK = 65_536
AHEAD = 4  # chunks that may wait at either end


def send_photo(context: zmq.SyncContext, endpoint: str) -> None:
    """Send a name and a photograph as the two frames of one message."""
    with context.socket(zmq.PUSH) as push:
        push.linger = 60_000
        push.connect(endpoint)
        push.send_multipart([b"photo.jpg", PHOTO])


def send_in_chunks(push: zmq.SyncSocket, to: str, file: IO[bytes]) -> None:
    """Send a file of any length through a few chunks of memory."""
    push.sndhwm = AHEAD  # by default a thousand would wait in memory
    push.connect(to)
    while chunk := file.read(CHUNK):
        push.send(chunk)
    push.send(END_OF_FILE)


def receive_chunks(pull: zmq.SyncSocket, at: str) -> Iterator[bytes]:
    """Yield the chunks of one file as they arrive."""
    pull.rcvhwm = AHEAD  # before the bind: later it may hang the sender
    pull.bind(at)
    while chunk := pull.recv():
        yield chunk


def unwrap(frames: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Split a message at the empty frame: the way back, and the body."""
    end = frames.index(b"")
    return frames[:end], frames[end + 1 :]


def _carry(
    listener: tcp.socket, endpoint: str, at_most: int
) -> tuple[tcp.socket, tcp.socket]:
    """Be the cable between a sender and `endpoint`, for so many bytes.

    Returns both of its ends, still open: a cable that carries no more.
    """
    host, port = endpoint.removeprefix("tcp://").split(":")
    receiver = tcp.create_connection((host, int(port)), PATIENCE_S)
    sender, _ = listener.accept()
    other = {sender: receiver, receiver: sender}
    carried = 0
    while carried < at_most:
        ready, _, _ = select.select(other, [], [], PATIENCE_S)
        assert ready, f"silence after {carried} bytes"
        for end in ready:
            data = end.recv(65_536)
            other[end].sendall(data)
            carried += len(data) if end is sender else 0
    return sender, receiver


def test_half_a_message_never_arrives_when_its_sender_is_killed(
    context: zmq.SyncContext,
    spawn: Callable[..., Program],
    in_thread: Callable[..., Future[tuple[tcp.socket, tcp.socket]]],
) -> None:
    """A sender killed in the middle of a message delivers none of it."""
    with (
        tcp.create_server(("127.0.0.1", 0)) as listener,
        context.socket(zmq.PULL) as pull,
        watch(pull) as monitor,
    ):
        listener.settimeout(PATIENCE_S)
        # Fixed, or the kernel lets it grow until the other half fits in too.
        listener.setsockopt(tcp.SOL_SOCKET, tcp.SO_RCVBUF, 65_536)
        endpoint = bind_anywhere(pull)
        cable = in_thread(_carry, listener, endpoint, HALF)
        host, port = listener.getsockname()
        sender = spawn(send_photo, f"tcp://{host}:{port}")
        sending, receiving = cable.result(PATIENCE_S)
        with sending, receiving:
            assert is_silent(pull), "nothing before the last byte is here"
            kill(sender)
        monitor.wait_for(zmq.EVENT_DISCONNECTED)
        assert is_silent(pull), "and now there never will be"

        assert spawn(send_photo, endpoint).wait() == 0
        assert pull.recv_multipart() == [b"photo.jpg", PHOTO]


def test_nothing_leaves_before_the_last_frame_is_sent(
    context: zmq.SyncContext,
) -> None:
    """SNDMORE holds a message back until its last frame is there."""
    with context.socket(zmq.PUSH) as push, context.socket(zmq.PULL) as pull:
        pull.bind("inproc://frames")
        push.connect("inproc://frames")
        push.send(b"one", zmq.SNDMORE)
        push.send(b"two", zmq.SNDMORE)
        assert is_silent(pull)

        push.send(b"three")
        assert pull.recv_multipart() == [b"one", b"two", b"three"]


def test_recv_takes_one_frame_and_leaves_the_rest_for_the_next_call(
    context: zmq.SyncContext,
) -> None:
    """Reading a frame where a message was meant puts a reader out of step."""
    with context.socket(zmq.PUSH) as push, context.socket(zmq.PULL) as pull:
        pull.bind("inproc://step")
        push.connect("inproc://step")
        for name in (b"a.jpg", b"b.jpg"):
            push.send_multipart([name, b"pixels of " + name])

        assert pull.recv() == b"a.jpg"
        assert pull.rcvmore, "which is how a reader could know"
        assert pull.recv() == b"pixels of a.jpg", "taken for the next name"

        assert pull.recv_multipart() == [b"b.jpg", b"pixels of b.jpg"]


def test_a_filter_is_a_prefix_of_the_first_frame(
    context: zmq.SyncContext,
) -> None:
    """A topic ends in a delimiter, or `room.1` also hears `room.10`."""
    with context.socket(zmq.XPUB) as pub:
        pub.bind("inproc://topics")

        def heard_by(subscription: bytes) -> list[bytes]:
            with context.socket(zmq.SUB) as sub:
                sub.connect("inproc://topics")
                sub.subscribe(subscription)
                assert pub.recv() == b"\x01" + subscription
                for topic in (b"room.10 ", b"room.1 ", b"news "):
                    pub.send_multipart([topic, b"about room.1 "])
                pub.send(subscription + b" is over")
                topics = []
                while len(frames := sub.recv_multipart()) > 1:
                    topics.append(frames[0])
            assert pub.recv() == b"\x00" + subscription
            return topics

        assert heard_by(b"room.1") == [b"room.10 ", b"room.1 "]

        assert heard_by(b"room.1 ") == [b"room.1 "]


def test_an_envelope_ends_in_an_empty_frame(
    context: zmq.SyncContext,
) -> None:
    """REP drops a request without the empty frame, and says nothing."""
    with context.socket(zmq.DEALER) as dealer, context.socket(zmq.REP) as rep:
        rep.bind("inproc://envelope")
        dealer.connect("inproc://envelope")
        dealer.send(b"no envelope")
        dealer.send_multipart([b"ticket 7", b"", b"enveloped"])
        assert rep.recv() == b"enveloped", "it is the first to get through"

        rep.send(b"answer")
        route, body = unwrap(dealer.recv_multipart())
        assert (route, body) == ([b"ticket 7"], [b"answer"])


def test_a_receiver_limits_what_a_stranger_can_make_it_hold(
    context: zmq.SyncContext,
) -> None:
    """MAXMSGSIZE cuts off a peer that sends more; without it none is cut.

    The sender is not told: it loses the message and connects again.
    """
    with context.socket(zmq.PULL) as pull, context.socket(zmq.PUSH) as push:
        assert pull.maxmsgsize == -1, "the default: whatever they like"
        pull.maxmsgsize = 1_000  # before the bind that it is meant for
        with watch(push) as monitor:
            push.connect(bind_anywhere(pull))
            monitor.wait_for(zmq.EVENT_HANDSHAKE_SUCCEEDED)
            push.send(bytes(1_001))
            monitor.wait_for(zmq.EVENT_DISCONNECTED)
            monitor.wait_for(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        push.send(bytes(1_000))
        assert pull.recv() == bytes(1_000)


def test_the_size_limit_counts_frames_not_messages(
    context: zmq.SyncContext,
) -> None:
    """MAXMSGSIZE limits each frame; a message may have any number of them."""
    with (
        context.socket(zmq.PULL) as pull,
        context.socket(zmq.PUSH) as push,
        watch(push) as monitor,
    ):
        pull.maxmsgsize = 1_000
        push.connect(bind_anywhere(pull))
        push.send_multipart([bytes(1_000)] * 50)
        assert sum(map(len, pull.recv_multipart())) == 50_000

        push.send_multipart([bytes(1_000), bytes(1_001)])
        monitor.wait_for(zmq.EVENT_DISCONNECTED)


@pytest.mark.parametrize("transport", ["inproc", "ipc"])
def test_what_does_not_fit_into_memory_travels_in_chunks(
    context: zmq.SyncContext,
    endpoint: str,
    in_thread: Callable[..., Future[None]],
    transport: str,
) -> None:
    """A file in chunks starts to arrive before it was read to its end."""
    place = endpoint if transport == "ipc" else "inproc://chunks"
    film = io.BytesIO(random.Random(7).randbytes(50 * CHUNK + 1))
    with context.socket(zmq.PUSH) as push, context.socket(zmq.PULL) as pull:
        sending = in_thread(send_in_chunks, push, place, film)
        chunks = receive_chunks(pull, place)
        first = next(chunks)
        assert film.tell() < 25 * CHUNK
        assert first + b"".join(chunks) == film.getvalue()
        sending.result(PATIENCE_S)


def test_a_reader_that_stands_still_stops_the_file(
    context: zmq.SyncContext, in_thread: Callable[..., Future[None]]
) -> None:
    """Only the mark bounds memory: by default a thousand chunks wait."""
    film = io.BytesIO(bytes(100 * CHUNK))
    with context.socket(zmq.PUSH) as push, context.socket(zmq.PULL) as pull:
        pull.bind("inproc://default")
        push.connect("inproc://default")
        while chunk := film.read(CHUNK):
            push.send(chunk)  # all of it, and nobody has received any

    film.seek(0)
    with context.socket(zmq.PUSH) as push, context.socket(zmq.PULL) as pull:
        push.sndtimeo = 500

        def send() -> None:
            with pytest.raises(zmq.Again):
                send_in_chunks(push, "inproc://chunks", film)

        sending = in_thread(send)
        next(receive_chunks(pull, "inproc://chunks"))  # and no second one
        sending.result(PATIENCE_S)
        assert film.tell() <= (1 + 2 * AHEAD + 1) * CHUNK


def test_a_mark_lowered_on_a_connection_hangs_its_sender(
    context: zmq.SyncContext,
) -> None:
    """A mark that is lowered after the connect may block a sender for good.

    The reader says that there is room when it has read half of the queue,
    and to it the queue is still as long as it was. So options come first.
    """
    with context.socket(zmq.PUSH) as push, context.socket(zmq.PULL) as pull:
        pull.rcvhwm = AHEAD
        pull.bind("inproc://lowered")
        push.connect("inproc://lowered")
        push.sndhwm = AHEAD
        push.sndtimeo = 50
        taken = 0
        with pytest.raises(zmq.Again):
            while taken < 100:
                push.send(b"chunk")
                taken += 1
        assert taken == 2 * AHEAD
        while pull.poll(0):
            pull.recv()
        with pytest.raises(zmq.Again):
            push.send(b"there is room, and nobody says so")


def test_copy_false_hands_over_the_memory_itself(
    context: zmq.SyncContext,
) -> None:
    """With copy=False the receiver reads the memory of the sender."""
    pixels = bytearray(1_000_000)
    with context.socket(zmq.PAIR) as one, context.socket(zmq.PAIR) as other:
        one.bind("inproc://memory")
        other.connect("inproc://memory")
        one.send(pixels, copy=False)
        received = other.recv(copy=False)
        assert received.buffer[0] == 0

        pixels[0] = 255
        assert received.buffer[0] == 255, "there is only one photograph"


@pytest.mark.parametrize("wait_first", [False, True], ids=["trap", "cure"])
def test_memory_that_was_handed_over_must_not_be_changed_until_it_is_sent(
    context: zmq.SyncContext, endpoint: str, wait_first: bool
) -> None:
    """A buffer sent with copy=False is free once its tracker is done."""
    pixels = bytearray(1_000_000)
    with context.socket(zmq.PUSH) as push, context.socket(zmq.PULL) as pull:
        push.connect(endpoint)
        tracker = push.send(pixels, copy=False, track=True)
        assert not tracker.done, "nobody is there, so it is queued"
        if wait_first:
            pull.bind(endpoint)
            tracker.wait(PATIENCE_S)  # from here on it is ours again
        pixels[0] = 255  # the next photograph
        if not wait_first:
            pull.bind(endpoint)
        assert (pull.recv() == bytes(1_000_000)) == wait_first
