"""A proxy in the middle, and publishers and subscribers need only know it.

Sockets: the proxy's XSUB and XPUB both bind; publishers connect to the one,
subscribers to the other. Messages: news down, subscriptions up. Why: many
publishers and many subscribers come and go, and only one address is fixed.
Sources: Guide, chapter 2, "The Dynamic Discovery Problem"; libzmq
documentation, zmq_proxy.
"""

from collections.abc import Callable
from contextlib import ExitStack

import pytest
import zmq

from tests.patterns.helpers import (
    PATIENCE_S,
    InThread,
    bind_anywhere,
    is_silent,
    sockets,
    wiretap,
)
from tests.support import terminate

PUBLISHERS = "inproc://publishers"
SUBSCRIBERS = "inproc://subscribers"
CAPTURE = "inproc://capture"


def forward(
    context: zmq.SyncContext, publishers: str, subscribers: str
) -> None:
    """Pass news down and subscriptions up, until the context ends."""
    with (
        context.socket(zmq.XSUB) as upstream,
        context.socket(zmq.XPUB) as downstream,
    ):
        upstream.bind(publishers)
        downstream.bind(subscribers)
        zmq.proxy(upstream, downstream)


def forward_and_record(
    context: zmq.SyncContext, publishers: str, subscribers: str, record: str
) -> None:
    """The same, with a copy of all that passes for a recorder.

    Over PUB, which drops what a slow recorder has no room for.
    """
    with (
        context.socket(zmq.XSUB) as upstream,
        context.socket(zmq.XPUB) as downstream,
        context.socket(zmq.PUB) as capture,
    ):
        capture.bind(record)
        upstream.bind(publishers)
        downstream.bind(subscribers)
        zmq.proxy(upstream, downstream, capture)


def test_many_publishers_reach_many_subscribers(
    context: zmq.SyncContext, in_thread: InThread
) -> None:
    """Publishers and subscribers meet at a proxy, not knowing each other."""
    in_thread(forward, context, PUBLISHERS, SUBSCRIBERS)
    with ExitStack() as stack:
        subscribers = [
            stack.enter_context(context.socket(zmq.SUB)) for _ in range(2)
        ]
        for number, subscriber in enumerate(subscribers):
            subscriber.subscribe(b"all")
            subscriber.subscribe(b"for %d" % number)
            subscriber.connect(SUBSCRIBERS)
        for name in (b"A", b"B", b"C"):
            publisher = stack.enter_context(context.socket(zmq.XPUB))
            publisher.connect(PUBLISHERS)
            heard = {publisher.recv() for _ in range(3)}
            assert heard == {b"\x01all", b"\x01for 0", b"\x01for 1"}
            for topic in (b"for 0", b"for 1", b"all"):
                publisher.send_multipart([topic, name])
            for number, subscriber in enumerate(subscribers):
                mine = [subscriber.recv_multipart() for _ in range(2)]
                assert mine == [[b"for %d" % number, name], [b"all", name]]


def test_subscriptions_travel_upstream(
    context: zmq.SyncContext, in_thread: InThread
) -> None:
    """Subscriptions, and their ends, travel through the proxy upstream."""
    in_thread(forward, context, PUBLISHERS, SUBSCRIBERS)
    with context.socket(zmq.XPUB) as publisher:
        publisher.connect(PUBLISHERS)
        with context.socket(zmq.SUB) as subscriber:
            subscriber.subscribe(b"weather")
            subscriber.connect(SUBSCRIBERS)
            assert publisher.recv() == b"\x01weather"
        assert publisher.recv() == b"\x00weather"


def test_a_proxy_of_sub_and_pub_asks_for_everything(
    context: zmq.SyncContext,
) -> None:
    """A SUB in the middle must ask for all, though nobody may want it."""
    with sockets(context, zmq.XPUB, zmq.SUB) as (publisher, middle):
        middle.subscribe(b"")  # it cannot know what will be wanted
        middle.connect(bind_anywhere(publisher))
        assert publisher.recv() == b"\x01"


def test_what_nobody_wants_does_not_reach_the_proxy(
    context: zmq.SyncContext, in_thread: InThread
) -> None:
    """Through XSUB and XPUB, the first publisher still does the filtering."""
    with (
        context.socket(zmq.XPUB) as publisher,
        wiretap(bind_anywhere(publisher)) as tap,
        context.socket(zmq.SUB) as subscriber,
    ):
        subscriber.subscribe(b"weather")
        subscriber.connect(SUBSCRIBERS)
        in_thread(_forward_from, context, tap.endpoint)
        assert publisher.recv() == b"\x01weather"
        publisher.send(b"sports: a long report")
        publisher.send(b"weather: rain")
        assert subscriber.recv() == b"weather: rain"
        assert b"weather: rain" in tap.from_server
        assert b"sports" not in tap.from_server


def _forward_from(context: zmq.SyncContext, publisher: str) -> None:
    with sockets(context, zmq.XSUB, zmq.XPUB) as (upstream, downstream):
        upstream.connect(publisher)
        downstream.bind(SUBSCRIBERS)
        zmq.proxy(upstream, downstream)


def test_a_capture_socket_gets_a_copy_of_all_that_passes(
    context: zmq.SyncContext, in_thread: InThread
) -> None:
    """A capture socket gets a copy of what passes, in both directions."""
    opened = sockets(context, zmq.SUB, zmq.XPUB, zmq.SUB)
    with opened as (recorder, publisher, subscriber):
        recorder.subscribe(b"")
        recorder.connect(CAPTURE)
        in_thread(
            forward_and_record, context, PUBLISHERS, SUBSCRIBERS, CAPTURE
        )
        publisher.connect(PUBLISHERS)
        subscriber.subscribe(b"news")
        subscriber.connect(SUBSCRIBERS)
        assert recorder.recv() == publisher.recv() == b"\x01news"
        publisher.send_multipart([b"news", b"rain"])
        assert subscriber.recv_multipart() == [b"news", b"rain"]
        assert recorder.recv_multipart() == [b"news", b"rain"]


def _forward_and_push(context: zmq.SyncContext) -> None:
    """The trap: a capture socket that waits for its recorder."""
    opened = sockets(context, zmq.XSUB, zmq.XPUB, zmq.PUSH)
    with opened as (upstream, downstream, capture):
        capture.bind(CAPTURE)
        upstream.bind(PUBLISHERS)
        downstream.bind(SUBSCRIBERS)
        zmq.proxy(upstream, downstream, capture)


def _news_until_silence(
    context: zmq.SyncContext, subscriber: zmq.SyncSocket
) -> int:
    """Publish a hundred messages; return how many came before a silence.

    There is room for all of them, but for the recorder.
    """
    subscriber.rcvhwm = 1000
    subscriber.subscribe(b"")
    subscriber.connect(SUBSCRIBERS)
    with context.socket(zmq.XPUB) as publisher:
        publisher.sndhwm = 1000
        publisher.connect(PUBLISHERS)
        publisher.recv()
        for heard in range(100):
            publisher.send(b"news")
            if is_silent(subscriber, for_s=1.0):
                return heard
            subscriber.recv()
    return 100


def test_a_capture_over_push_stops_the_news(
    context: zmq.SyncContext, in_thread: InThread
) -> None:
    """Over PUSH a recorder that stands still stops all subscribers, too."""
    context.sndhwm = context.rcvhwm = 10
    with sockets(context, zmq.PULL, zmq.SUB) as (recorder, subscriber):
        recorder.connect(CAPTURE)
        in_thread(_forward_and_push, context)
        heard = _news_until_silence(context, subscriber)
        assert heard == 19  # and the subscription: two queues of ten

        while not is_silent(recorder):
            recorder.recv()
        assert subscriber.recv() == b"news"  # now it goes on


def test_a_capture_over_pub_lets_the_news_go_on(
    context: zmq.SyncContext, in_thread: InThread
) -> None:
    """Over PUB a recorder that stands still has gaps, and nobody waits."""
    context.sndhwm = context.rcvhwm = 10
    with sockets(context, zmq.SUB, zmq.SUB) as (recorder, subscriber):
        recorder.subscribe(b"")
        recorder.connect(CAPTURE)
        in_thread(
            forward_and_record, context, PUBLISHERS, SUBSCRIBERS, CAPTURE
        )
        assert _news_until_silence(context, subscriber) == 100
        recorded = 0
        while not is_silent(recorder):
            recorder.recv()
            recorded += 1
        assert recorded == 20


def test_a_proxy_ends_with_its_context(
    new_context: Callable[[], zmq.SyncContext], in_thread: InThread
) -> None:
    """A proxy runs until its context is terminated, and ends with ETERM."""
    context = new_context()
    proxy = in_thread(forward, context, PUBLISHERS, SUBSCRIBERS)
    with sockets(context, zmq.XPUB, zmq.SUB) as (publisher, subscriber):
        publisher.connect(PUBLISHERS)
        subscriber.subscribe(b"")
        subscriber.connect(SUBSCRIBERS)
        publisher.recv()
        assert not proxy.done()
    terminate(context)
    with pytest.raises(zmq.ContextTerminated):
        proxy.result(PATIENCE_S)
