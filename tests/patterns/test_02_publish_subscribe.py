"""One speaks, everyone who wants to hear it does, and nobody answers.

Sockets: PUB or XPUB binds, SUB connects. Messages: one way; a subscription
is a prefix of the first frame. Why: the publisher knows nobody and waits
for nobody. The price: a late subscriber has missed what was published,
unless the publisher listens for subscriptions first, or somebody keeps the
last value of each topic. Sources: Guide, chapter 2, "Getting the Message
Out", and chapter 5, "Last Value Caching"; libzmq documentation,
zmq_setsockopt.
"""

import time

import pytest
import zmq

from tests.patterns.helpers import (
    PATIENCE_S,
    InThread,
    bind_anywhere,
    is_silent,
    sockets,
    watch,
    wiretap,
)


def wait_for_subscribers(
    publisher: zmq.SyncSocket, count: int, timeout_s: float
) -> None:
    """Return once `count` subscriptions have reached an XPUB socket.

    Raises TimeoutError when some of them do not come in time. The socket
    needs XPUB_VERBOSE, or it reports only the first one of each prefix. A
    subscriber to two topics counts twice.
    """
    deadline = time.monotonic() + timeout_s
    while count:
        left = max(0.0, deadline - time.monotonic())
        if not publisher.poll(int(left * 1000)):
            raise TimeoutError(f"{count} more subscribers expected")
        count -= publisher.recv().startswith(b"\x01")


def keep_last_values(
    context: zmq.SyncContext, publishers: str, subscribers: str
) -> None:
    """Pass news on, and tell each new subscriber the last of its topic."""
    with context.socket(zmq.SUB) as news, context.socket(zmq.XPUB) as out:
        news.subscribe(b"")
        news.bind(publishers)
        out.xpub_verbose = True  # or only the first one is announced
        out.bind(subscribers)
        poller = zmq.Poller()
        poller.register(news, zmq.POLLIN)
        poller.register(out, zmq.POLLIN)
        last: dict[bytes, list[bytes]] = {}
        while True:
            ready = dict(poller.poll())
            if news in ready:
                message = news.recv_multipart()
                last[message[0]] = message
                out.send_multipart(message)
            if out in ready and (wish := out.recv()).startswith(b"\x01"):
                for topic, message in last.items():
                    if topic.startswith(wish[1:]):
                        out.send_multipart(message)


def test_every_subscriber_gets_every_message(
    context: zmq.SyncContext,
) -> None:
    """Publishing fans out: every subscriber gets every message, in order."""
    news = [b"news %d" % number for number in range(100)]
    with (
        context.socket(zmq.XPUB) as publisher,
        sockets(context, *[zmq.SUB] * 5) as subscribers,
    ):
        publisher.xpub_verbose = True
        endpoint = bind_anywhere(publisher)
        for subscriber in subscribers:
            subscriber.subscribe(b"")
            subscriber.connect(endpoint)
        wait_for_subscribers(publisher, 5, PATIENCE_S)
        for message in news:
            publisher.send(message)
        for subscriber in subscribers:
            assert [subscriber.recv() for _ in news] == news


@pytest.mark.parametrize(
    ("speaker", "listener"), [(zmq.PUB, zmq.SUB), (zmq.PUSH, zmq.PULL)]
)
def test_publishing_and_pushing_go_one_way(
    context: zmq.SyncContext, speaker: int, listener: int
) -> None:
    """PUB and PUSH cannot receive, and SUB and PULL cannot send."""
    with sockets(context, speaker, listener) as (out, into):
        with pytest.raises(zmq.ZMQError) as deaf:
            out.recv()
        with pytest.raises(zmq.ZMQError) as mute:
            into.send(b"me too")
    assert deaf.value.errno == mute.value.errno == zmq.ENOTSUP


def test_a_sub_that_subscribed_to_nothing_hears_nothing(
    context: zmq.SyncContext,
) -> None:
    """A SUB without a subscription hears nothing; the empty one hears all."""
    with (
        sockets(context, zmq.XPUB, zmq.SUB, zmq.SUB) as (
            publisher,
            forgetful,
            listener,
        ),
        watch(publisher) as monitor,
    ):
        endpoint = bind_anywhere(publisher)
        forgetful.connect(endpoint)
        listener.subscribe(b"")
        listener.connect(endpoint)
        monitor.wait_for(zmq.EVENT_HANDSHAKE_SUCCEEDED, times=2)
        wait_for_subscribers(publisher, 1, PATIENCE_S)
        publisher.send(b"hello")
        assert listener.recv() == b"hello"
        assert is_silent(forgetful)


def test_a_subscription_is_a_prefix_not_a_word(
    context: zmq.SyncContext,
) -> None:
    """A subscription is a prefix: `weather` also gets `weatherproof`."""
    with sockets(context, zmq.XPUB, zmq.SUB) as (publisher, subscriber):
        subscriber.subscribe(b"weather")
        subscriber.connect(bind_anywhere(publisher))
        wait_for_subscribers(publisher, 1, PATIENCE_S)
        for topic in (b"news", b"weather", b"end weather", b"weatherproof"):
            publisher.send(topic)
        heard = [subscriber.recv() for _ in range(2)]
    assert heard == [b"weather", b"weatherproof"]


def test_the_publisher_filters_not_the_subscriber(
    context: zmq.SyncContext,
) -> None:
    """The publisher filters: what nobody wants never crosses the network."""
    with (
        sockets(context, zmq.XPUB, zmq.SUB) as (publisher, subscriber),
        wiretap(bind_anywhere(publisher)) as tap,
    ):
        subscriber.subscribe(b"weather")
        subscriber.connect(tap.endpoint)
        wait_for_subscribers(publisher, 1, PATIENCE_S)
        publisher.send(b"sports: a long report")
        publisher.send(b"weather: rain")
        assert subscriber.recv() == b"weather: rain"
        assert b"weather: rain" in tap.from_server
        assert b"sports" not in tap.from_server


def test_a_late_subscriber_has_missed_what_was_said(
    context: zmq.SyncContext,
) -> None:
    """A late subscriber misses all that was published before."""
    with sockets(context, zmq.XPUB, zmq.SUB) as (publisher, late):
        endpoint = bind_anywhere(publisher)
        publisher.send(b"before")
        late.subscribe(b"")
        late.connect(endpoint)
        wait_for_subscribers(publisher, 1, PATIENCE_S)
        publisher.send(b"after")
        assert late.recv() == b"after"


def test_a_connected_subscriber_may_still_be_late(
    context: zmq.SyncContext,
) -> None:
    """The slow joiner: connected, and still it misses the first messages."""
    with (
        sockets(context, zmq.XPUB, zmq.SUB) as (publisher, subscriber),
        watch(subscriber) as monitor,
        wiretap(bind_anywhere(publisher)) as tap,
    ):
        tap.open.clear()
        subscriber.subscribe(b"")
        subscriber.connect(tap.endpoint)
        monitor.wait_for(zmq.EVENT_CONNECTED)
        publisher.send(b"too early")
        tap.open.set()
        wait_for_subscribers(publisher, 1, PATIENCE_S)
        publisher.send(b"in time")
        assert subscriber.recv() == b"in time"


def test_a_publisher_that_waits_for_subscribers_loses_nothing(
    context: zmq.SyncContext,
) -> None:
    """XPUB receives subscriptions as messages: wait, and none is late."""
    news = [b"news %d" % number for number in range(100)]
    with (
        sockets(context, zmq.XPUB, zmq.SUB) as (publisher, subscriber),
        wiretap(bind_anywhere(publisher)) as tap,
    ):
        subscriber.subscribe(b"news")
        subscriber.connect(tap.endpoint)
        wait_for_subscribers(publisher, 1, PATIENCE_S)
        for message in news:
            publisher.send(message)
        assert [subscriber.recv() for _ in news] == news


@pytest.mark.parametrize("timeout_s", [0.05, -1.0], ids=["wait", "over"])
def test_waiting_for_subscribers_ends_without_them(
    context: zmq.SyncContext, timeout_s: float
) -> None:
    """Waiting for subscribers that never come ends with an error."""
    with sockets(context, zmq.XPUB, zmq.SUB) as (publisher, fickle):
        publisher.bind("inproc://news")
        fickle.connect("inproc://news")
        fickle.subscribe(b"")
        fickle.unsubscribe(b"")  # nobody new
        with pytest.raises(TimeoutError, match="1 more subscribers"):
            wait_for_subscribers(publisher, 2, timeout_s)


@pytest.mark.parametrize(("verbose", "reported"), [(False, 1), (True, 2)])
def test_an_xpub_counts_prefixes_unless_it_is_verbose(
    context: zmq.SyncContext, verbose: bool, reported: int
) -> None:
    """XPUB reports each prefix once; only XPUB_VERBOSE counts subscribers."""
    opened = sockets(context, zmq.XPUB, zmq.SUB, zmq.SUB)
    with opened as (publisher, one, two):
        publisher.xpub_verbose = verbose
        publisher.bind("inproc://news")
        for subscriber in (one, two):
            subscriber.subscribe(b"news")
            subscriber.connect("inproc://news")
        for _ in range(reported):
            assert publisher.recv() == b"\x01news"
        assert is_silent(publisher)
        publisher.send(b"news")
        assert one.recv() == two.recv() == b"news"  # all the same


@pytest.mark.parametrize(
    ("conflate", "frames", "subscription", "heard"),
    [
        (False, [b"%d"], b"", [b"0"]),
        (True, [b"%d"], b"", [b"99"]),
        (True, [b"clock", b"%d"], b"", [b"99"]),
        (True, [b"clock", b"%d"], b"clock", []),
        (True, [b"clock %d"], b"clock", [b"clock 99"]),
    ],
    ids=["old news", "one frame", "no topic", "nothing", "cure"],
)
def test_conflate_keeps_one_frame_not_one_message(
    context: zmq.SyncContext,
    conflate: bool,
    frames: list[bytes],
    subscription: bytes,
    heard: list[bytes],
) -> None:
    """A slow reader reads old news, or with CONFLATE only the last frame.

    So a topic in a frame of its own is lost; all topics share that frame.
    """
    with sockets(context, zmq.XPUB, zmq.SUB) as (publisher, subscriber):
        publisher.bind("inproc://clock")
        subscriber.conflate = conflate  # before connecting
        subscriber.subscribe(subscription)
        subscriber.connect("inproc://clock")
        wait_for_subscribers(publisher, 1, PATIENCE_S)
        for tick in range(100):
            publisher.send_multipart([*frames[:-1], frames[-1] % tick])
        assert [subscriber.recv() for _ in heard] == heard
        assert is_silent(subscriber) == conflate


def test_a_last_value_cache_tells_late_subscribers_the_present(
    context: zmq.SyncContext, in_thread: InThread
) -> None:
    """A last value cache tells each late subscriber the last of its topic."""
    in_thread(keep_last_values, context, "inproc://news", "inproc://late")
    opened = sockets(context, zmq.XPUB, zmq.SUB, zmq.SUB)
    with opened as (publisher, early, late):
        publisher.connect("inproc://news")
        wait_for_subscribers(publisher, 1, PATIENCE_S)
        early.subscribe(b"")
        early.connect("inproc://late")
        sent = [[b"rain", b"1"], [b"wind", b"7"], [b"rain", b"2"]]
        for message in sent:
            publisher.send_multipart(message)
        while early.recv_multipart() != sent[-1]:
            pass  # so it is in the cache
        late.subscribe(b"rain")
        late.connect("inproc://late")
        assert late.recv_multipart() == [b"rain", b"2"]
        publisher.send_multipart([b"rain", b"3"])
        assert late.recv_multipart() == [b"rain", b"3"]
