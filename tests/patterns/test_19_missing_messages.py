"""A missing message has a cause, and each cause has a symptom and a cure.

The Guide's "Missing Message Problem Solver" as a table. Each row names the
tests that show the symptom, and that the cure ends it; most of them stand in
the chapter that treats the cause.

Sockets: all of the pairs. Messages: those that do not arrive. Why: most
losses are silent, so one looks for the symptom first. Sources: Guide,
chapter 2, "Missing Message Problem Solver"; the other chapters.
"""

from contextlib import suppress
from typing import NamedTuple

import pytest
import zmq

from tests.patterns.helpers import (
    bind_anywhere,
    is_silent,
    sockets,
    wait_until,
    watch,
)
from tests.patterns.index import chapters

SENT = [b"1", b"2", b"3"]


class Row(NamedTuple):
    """One way to lose messages, and how not to."""

    cause: str
    symptom: str
    cure: str
    shown: tuple[str, ...]  # by tests, each after the number of its chapter


TABLE = [
    Row(
        "a SUB that has not subscribed",
        "receives nothing, without an error",
        "subscribe: b'' is everything",
        ("2 a_sub_that_subscribed_to_nothing_hears_nothing",),
    ),
    Row(
        "a PUB that starts to send at once",
        "SUB misses the first messages",
        "start when XPUB has received the subscription",
        (
            "2 a_connected_subscriber_may_still_be_late",
            "2 a_publisher_that_waits_for_subscribers_loses_nothing",
        ),
    ),
    Row(
        "a SUB that came after what it wants to know",
        "knows nothing until somebody says it again",
        "a last value cache",
        (
            "2 a_late_subscriber_has_missed_what_was_said",
            "2 a_last_value_cache_tells_late_subscribers_the_present",
        ),
    ),
    Row(
        "a SUB with CONFLATE, and a topic in a frame of its own",
        "receives nothing, or news without a topic",
        "topic and news in one frame",
        ("2 conflate_keeps_one_frame_not_one_message",),
    ),
    Row(
        "a SUB slower than its PUB",
        "gaps in the middle, from the high-water mark on",
        "XPUB_NODROP, and wait while it says EAGAIN",
        (
            "10 these_drop_at_the_mark",
            "10 an_option_says_what_would_be_dropped",
        ),
    ),
    Row(
        "a SUB that looks away while its PUB restarts",
        "connected, and hears nothing until its next call",
        "poll it, also when there is something else to do",
        ("9 a_subscription_is_renewed_at_the_next_call",),
    ),
    Row(
        "REQ or REP called out of turn",
        "EFSM, which looks like loss when errors are ignored",
        "send, receive, send, receive; never ignore an error",
        ("12 a_call_out_of_turn_is_efsm_and_leaves_the_socket_whole",),
    ),
    Row(
        "a server that died with the request",
        "REQ waits for ever, though a new server is up",
        "a time-out, and a new REQ",
        (
            "1 a_plain_req_waits_for_ever_when_its_server_is_killed",
            "1 the_lazy_pirate_survives_its_server",
        ),
    ),
    Row(
        "a PUSH that starts with its first worker",
        "the other workers get nothing",
        "count HANDSHAKE_SUCCEEDED before the first task",
        (
            "3 a_late_worker_gets_nothing",
            "3 counting_handshakes_is_a_barrier",
        ),
    ),
    Row(
        "a worker that died with its tasks",
        "their results are missing, and nobody is told",
        "ids, and send again what has no result",
        ("3 a_killed_worker_takes_its_tasks_with_it",),
    ),
    Row(
        "an old worker still runs somewhere",
        "every second message is missing",
        "find it by its connection, and end it",
        ("19 a_forgotten_worker_takes_every_second_message",),
    ),
    Row(
        "a socket used by two threads",
        "messages with each other's frames, crashes",
        "a socket for each thread",
        (
            "15 two_threads_in_one_socket_mix_their_messages_up",
            "15 a_socket_for_each_thread_keeps_their_messages_apart",
        ),
    ),
    Row(
        "inproc endpoints in two contexts",
        "nothing arrives, without an error",
        "one context for each process",
        ("15 threads_meet_in_one_context_and_never_in_two",),
    ),
    Row(
        "a context that came through a fork",
        "nothing arrives, without an error",
        "a new context in the child",
        ("15 a_context_does_not_survive_a_fork",),
    ),
    Row(
        "a ROUTER that sends to nobody it knows",
        "the message is dropped, without an error",
        "ROUTER_MANDATORY, and the identity that came in",
        ("5 a_router_drops_what_it_cannot_route",),
    ),
    Row(
        "a peer that restarts with its old name",
        "ROUTER hears nothing of it, for good",
        "ROUTER_HANDOVER",
        ("5 a_restarted_peer_is_a_second_peer_of_the_same_name",),
    ),
    Row(
        "a DEALER that sends no empty frame to a REP",
        "the request is dropped, without an error",
        "put the empty frame before the request",
        ("13 an_envelope_ends_in_an_empty_frame",),
    ),
    Row(
        "recv where a message has several frames",
        "every second message is something else",
        "recv_multipart",
        ("13 recv_takes_one_frame_and_leaves_the_rest_for_the_next_call",),
    ),
    Row(
        "a frame beyond the receiver's MAXMSGSIZE",
        "it never arrives; the connection is cut and made again",
        "send it in pieces, or raise the limit before the bind",
        (
            "13 a_receiver_limits_what_a_stranger_can_make_it_hold",
            "13 the_size_limit_counts_frames_not_messages",
        ),
    ),
    Row(
        "a program that ends with LINGER 0",
        "the last messages are missing",
        "a LINGER with a bound",
        (
            "11 linger_gives_up_when_its_time_is_over",
            "11 with_and_a_bounded_linger_deliver_everything",
        ),
    ),
    Row(
        "one side with CURVE, the other without",
        "nothing arrives, without an error",
        "read the socket's monitor; give both their keys",
        (
            "16 without_the_right_key_there_is_only_silence",
            "16 with_the_right_key_a_request_is_answered",
        ),
    ),
    Row(
        "a high-water mark raised after the bind",
        "who connects from then on still meets the old mark",
        "set options first",
        ("19 a_mark_that_is_raised_too_late_misses_who_connects",),
    ),
    Row(
        "in asyncio, a time-out that meets the message",
        "one message less, now and then",
        "poll, and receive what is there",
        ("20 a_time_out_that_meets_a_message_loses_it",),
    ),
]


def what_arrives(socket: zmq.SyncSocket, quiet_s: float = 0.1) -> list[bytes]:
    """Receive until nothing has come for a while: how a loss looks."""
    arrived = []
    with suppress(zmq.Again):  # what woke the poll was not for us
        while socket.poll(int(quiet_s * 1000)):
            arrived.append(socket.recv(zmq.DONTWAIT))
    return arrived


def test_every_row_of_the_table_has_its_test() -> None:
    """Each row of the table names a test of the symptom and of the cure."""
    tests = {
        f"{chapter.number} {proof.test.removeprefix('test_')}"
        for chapter in chapters()
        for proof in chapter.proofs
    }
    assert {test for row in TABLE for test in row.shown} <= tests


def test_a_forgotten_worker_takes_every_second_message(
    context: zmq.SyncContext,
) -> None:
    """An old worker that still runs takes every second message."""
    with (
        sockets(context, zmq.PUSH, zmq.PULL, zmq.PULL) as (push, old, new),
        watch(push) as monitor,
    ):
        endpoint = bind_anywhere(push)
        old.connect(endpoint)
        new.connect(endpoint)
        monitor.wait_for(zmq.EVENT_HANDSHAKE_SUCCEEDED, times=2)
        for message in SENT * 2:
            push.send(message)
        assert [new.recv() for _ in range(3)], "half of them"
        assert is_silent(new)

        old.close()
        monitor.wait_for(zmq.EVENT_DISCONNECTED)

        def all_arrive() -> bool:
            for message in SENT:
                push.send(message)
            return what_arrives(new) == SENT

        wait_until(all_arrive, "the old worker gets no more messages")


@pytest.mark.parametrize(
    ("raised", "arrived"),
    # The old marks are 1,000 on either side.
    [("after the bind", 2_000), ("first", 3_000), ("at the end", 3_000)],
)
def test_a_mark_that_is_raised_too_late_misses_who_connects(
    context: zmq.SyncContext, raised: str, arrived: int
) -> None:
    """A high-water mark set after the bind misses who connects later.

    Since libzmq 4.2 it does reach who is connected already.
    """
    with sockets(context, zmq.XPUB, zmq.SUB) as (pub, sub):
        if raised == "first":
            pub.sndhwm = 0  # no limit
        pub.bind("inproc://table")
        if raised == "after the bind":
            pub.sndhwm = 0
        sub.subscribe(b"")
        sub.connect("inproc://table")
        pub.recv()
        if raised == "at the end":
            pub.sndhwm = 0
        for number in range(3_000):
            pub.send(b"%d" % number)
        assert len(what_arrives(sub)) == arrived
