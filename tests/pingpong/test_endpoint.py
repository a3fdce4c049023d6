"""Every form of an endpoint, put to our check and to libzmq itself."""

import errno
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

import pytest
import zmq

from pingpong.support.endpoint import (
    Unfit,
    check_bind,
    check_connect,
    check_exposure,
    needs_ipv6,
)
from tests.support import PATIENCE_S, skip_or_fail


class Verdict(StrEnum):
    """What libzmq does with a form; we accept the first kind only."""

    WORKS = "works"
    FAILS = "fails at once"
    MISREAD = "is taken for another endpoint"
    IN_VAIN = "is accepted, and never connects"


WORKS, FAILS, MISREAD, IN_VAIN = Verdict

# PORT is a free port, at which a server listens where we connect. What is
# written here as bind and connect is what libzmq 4.3.5 does.
FORMS = [
    ("tcp://127.0.0.1:PORT", WORKS, WORKS),
    ("tcp://127.0.0.1:*", WORKS, FAILS),
    ("tcp://127.0.0.1:0", WORKS, IN_VAIN),
    ("tcp://127.0.0.1:00", FAILS, IN_VAIN),
    ("tcp://127.0.0.1:000PORT", WORKS, WORKS),
    ("tcp://127.0.0.1:+PORT", MISREAD, FAILS),
    ("tcp://127.0.0.1: PORT", MISREAD, FAILS),
    ("tcp://127.0.0.1:PORT ", MISREAD, FAILS),
    ("tcp://127.0.0.1:PORT\n", MISREAD, FAILS),
    ("tcp://127.0.0.1:PORT/", MISREAD, FAILS),
    ("tcp://127.0.0.1:PORT?x", MISREAD, FAILS),
    ("tcp://127.0.0.1:PORT#x", MISREAD, FAILS),
    ("tcp://127.0.0.1:PORTx", MISREAD, MISREAD),
    ("tcp://127.0.0.1:PAST", MISREAD, MISREAD),  # 65536 too high
    ("tcp://127.0.0.1:65536", FAILS, IN_VAIN),
    ("tcp://127.0.0.1:-1", MISREAD, FAILS),
    ("tcp://127.0.0.1:!", FAILS, FAILS),
    ("tcp://127.0.0.1:no", FAILS, FAILS),
    ("tcp://127.0.0.1:", FAILS, FAILS),
    ("tcp://127.0.0.1", FAILS, FAILS),
    ("tcp://127.0.0.1.:PORT", FAILS, IN_VAIN),
    ("tcp://127.0.0.256:PORT", FAILS, IN_VAIN),
    ("tcp://127.1:PORT", WORKS, WORKS),
    ("tcp://2130706433:PORT", WORKS, WORKS),
    ("tcp://0x7f.1:PORT", WORKS, WORKS),
    ("tcp://0.0.0.0:PORT", WORKS, WORKS),
    ("tcp://*:*", WORKS, FAILS),
    ("tcp://*:PORT", WORKS, FAILS),
    ("tcp://[*]:*", WORKS, FAILS),
    ("tcp://:PORT", FAILS, IN_VAIN),
    ("tcp://localhost:PORT", WORKS, WORKS),
    ("tcp://LOCALHOST:PORT", WORKS, WORKS),
    ("tcp://[localhost]:PORT", WORKS, WORKS),
    ("tcp://lo:PORT", WORKS, IN_VAIN),
    ("tcp://no-such-host.invalid:PORT", FAILS, IN_VAIN),
    ("tcp://-host:PORT", FAILS, FAILS),
    ("tcp://a b:PORT", FAILS, FAILS),
    ("tcp://user@localhost:PORT", FAILS, FAILS),
    ("tcp://localhost/x:PORT", FAILS, FAILS),
    ("tcp://h\xf6st:PORT", FAILS, FAILS),
    (f"tcp://{'x' * 64}:PORT", FAILS, IN_VAIN),
    ("tcp://[127.0.0.1]:PORT", WORKS, WORKS),
    ("tcp://[::1]:PORT", WORKS, WORKS),
    ("tcp://[::1]:*", WORKS, FAILS),
    ("tcp://::1:PORT", WORKS, WORKS),
    ("tcp://[::]:PORT", WORKS, WORKS),
    ("tcp://[::1%lo]:PORT", WORKS, WORKS),
    ("tcp://[::1%1]:PORT", WORKS, WORKS),
    ("tcp://[::1%nope]:PORT", FAILS, IN_VAIN),
    ("tcp://[::ffff:127.0.0.1]:PORT", WORKS, WORKS),
    ("tcp://[::1:PORT", FAILS, IN_VAIN),
    ("tcp://::1]:PORT", FAILS, IN_VAIN),
    ("tcp://[::g]:PORT", FAILS, IN_VAIN),
    ("tcp://[]:PORT", FAILS, IN_VAIN),
    ("tcp://[::1]", FAILS, IN_VAIN),
    ("tcp://127.0.0.1:0;127.0.0.1:PORT", MISREAD, WORKS),
    ("tcp://127.0.0.1:*;127.0.0.1:PORT", MISREAD, WORKS),
    ("tcp://lo:0;127.0.0.1:PORT", MISREAD, WORKS),
    ("tcp://[::1]:0;[::1]:PORT", MISREAD, WORKS),
    ("tcp://[::1]:0;127.0.0.1:PORT", MISREAD, IN_VAIN),
    ("tcp://127.0.0.1;127.0.0.1:PORT", FAILS, IN_VAIN),
    ("tcp://localhost:0;127.0.0.1:PORT", FAILS, IN_VAIN),
    ("tcp://*:0;127.0.0.1:PORT", MISREAD, FAILS),
    ("tcp://127.0.0.1:PORT;", FAILS, IN_VAIN),
    ("tcp://", FAILS, FAILS),
    ("tcp:127.0.0.1:PORT", FAILS, FAILS),
    ("tcp:///127.0.0.1:PORT", FAILS, FAILS),
    ("TCP://127.0.0.1:PORT", FAILS, FAILS),
    (" tcp://127.0.0.1:PORT", FAILS, FAILS),
    ("127.0.0.1:PORT", FAILS, FAILS),
    ("", FAILS, FAILS),
    ("://", FAILS, FAILS),
    ("nonsense", FAILS, FAILS),
    ("carrier-pigeon://x", FAILS, FAILS),
    ("tcp://127.0.0.1:PORT\udc80", FAILS, FAILS),
    ("tcp://127.0.0.1:PORT\0", MISREAD, MISREAD),
    ("ipc://x", WORKS, WORKS),
    ("ipc://a b", WORKS, WORKS),
    ("ipc://\xe9", WORKS, WORKS),
    ("ipc://x:y;z", WORKS, WORKS),
    ("ipc://@PORT.a", WORKS, WORKS),  # a name and no file, Linux only
    ("ipc://*", WORKS, IN_VAIN),
    ("ipc://*x", MISREAD, WORKS),
    ("ipc://@", FAILS, FAILS),
    ("ipc://", FAILS, FAILS),
    ("IPC://x", FAILS, FAILS),
    ("ipc://\udc80", FAILS, FAILS),
    ("ipc://x\0y", MISREAD, MISREAD),
    ("ipc://" + "x" * 107, WORKS, WORKS),
    ("ipc://" + "x" * 108, FAILS, FAILS),
    ("ipc://" + "\xe9" * 54, FAILS, FAILS),
]
NAMES = [repr(form)[1:40] for form, *_ in FORMS]
# libzmq can do these too; the packages leave them out.
NOT_OURS = ["inproc://x", "udp://127.0.0.1:5555", "tipc://{5560,0}"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def port() -> Iterator[int]:
    """A free port: held, but listened on by nobody, in both families."""
    with socket.socket() as four, socket.socket(socket.AF_INET6) as six:
        for each in (four, six):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        four.bind(("127.0.0.1", 0))
        number = four.getsockname()[1]
        try:
            six.bind(("::1", number))
        except OSError as error:
            skip_or_fail(f"no IPv6 here: {error}")
        yield number


def written_out(form: str, port: int) -> str:
    return form.replace("PORT", str(port)).replace("PAST", str(port + 65536))


def passes(check: Callable[[str], None], endpoint: str) -> bool:
    with suppress(Unfit):
        check(endpoint)
        return True
    return False


def ways(endpoint: str, accepted: bool) -> list[bool]:
    """The zmq.IPV6 that our socket would have; else both are tried."""
    return [needs_ipv6(endpoint)] if accepted else [False, True]


@pytest.mark.parametrize(
    ("form", "bind"), [(form, bind) for form, bind, _ in FORMS], ids=NAMES
)
def test_what_passes_for_a_server_can_be_bound_and_nothing_else(
    context: zmq.SyncContext,
    port: int,
    form: str,
    bind: Verdict,
) -> None:
    endpoint = written_out(form, port)
    accepted = passes(check_bind, endpoint)
    assert accepted == (bind == WORKS)
    bound = []
    for ipv6 in ways(endpoint, accepted):
        with context.socket(zmq.REP) as rep:
            rep.ipv6 = ipv6
            try:
                rep.bind(endpoint)
                bound.append(rep.get_string(zmq.LAST_ENDPOINT))
            except UnicodeError:
                continue
            except zmq.ZMQError as error:  # 65535, say, may be taken
                if error.errno == zmq.EADDRINUSE:
                    bound.append("")
    assert bool(bound) == (bind in (WORKS, MISREAD))
    if bind == WORKS and form.endswith(":PORT"):
        assert bound[0].endswith(f":{port}")


@pytest.mark.parametrize(
    ("form", "connect"),
    [(form, connect) for form, _, connect in FORMS],
    ids=NAMES,
)
def test_what_passes_for_a_client_connects_and_nothing_else(
    context: zmq.SyncContext,
    port: int,
    form: str,
    connect: Verdict,
) -> None:
    endpoint = written_out(form, port)
    accepted = passes(check_connect, endpoint)
    assert accepted == (connect == WORKS)
    with context.socket(zmq.REP) as rep:
        rep.ipv6 = True
        for each in (f"tcp://127.0.0.1:{port}", f"tcp://[::1]:{port}"):
            rep.bind(each)
        if endpoint.startswith("ipc://") and connect == WORKS:
            rep.bind(re.sub(r"ipc://\*", "ipc://./*", endpoint))
        if endpoint == "ipc://x\0y":
            rep.bind("ipc://x")
        found = {
            attempt(context, endpoint, ipv6)
            for ipv6 in ways(endpoint, accepted)
        }
    assert (WORKS in found) == (connect in (WORKS, MISREAD))
    assert (found == {FAILS}) == (connect == FAILS)


def attempt(context: zmq.SyncContext, endpoint: str, ipv6: bool) -> Verdict:
    with context.socket(zmq.REQ) as req:
        req.linger = 0
        req.ipv6 = ipv6
        seen = req.get_monitor_socket(
            zmq.EVENT_CONNECTED | zmq.EVENT_CONNECT_RETRIED
        )
        seen.rcvtimeo = int(PATIENCE_S * 1000)
        try:
            req.connect(endpoint)
            event = int.from_bytes(seen.recv_multipart()[0][:2], "little")
            return WORKS if event == zmq.EVENT_CONNECTED else IN_VAIN
        except (zmq.ZMQError, UnicodeError) as error:
            assert getattr(error, "errno", 0) != errno.EAGAIN  # no event
            return FAILS
        finally:
            req.disable_monitor()
            seen.close()


@pytest.mark.parametrize("endpoint", NOT_OURS)
def test_other_transports_are_refused(endpoint: str) -> None:
    assert not passes(check_bind, endpoint)
    assert not passes(check_connect, endpoint)


@pytest.mark.parametrize(
    "endpoint",
    [
        *("tcp://0.0.0.0:5555", "tcp://*:5555", "tcp://*:*", "tcp://[*]:*"),
        *("tcp://[::]:5555", "tcp://198.51.100.1:5555", "tcp://0:5555"),
        *("tcp://[2001:db8::1]:5555", "tcp://[fe80::1%lo]:5555"),
    ],
)
def test_what_others_could_reach_is_exposed(endpoint: str) -> None:
    check_bind(endpoint)
    with pytest.raises(Unfit, match="can be reached from other machines"):
        check_exposure(endpoint)


@pytest.mark.parametrize(
    "endpoint",
    [
        *("tcp://127.0.0.1:*", "tcp://127.1.2.3:5555", "tcp://[::1]:5555"),
        *("tcp://localhost:5555", "tcp://lo:5555", "ipc:///tmp/x", "ipc://*"),
        *("tcp://127.1:5555", "tcp://[::ffff:127.0.0.1]:5555"),
        *("tcp://[lo]:5555", "tcp://[::1%lo]:5555", "tcp://[localhost]:1"),
    ],
)
def test_what_nobody_else_can_reach_is_not(endpoint: str) -> None:
    check_bind(endpoint)
    check_exposure(endpoint)


def test_the_sentence_for_an_endpoint_that_is_no_text_can_be_printed() -> (
    None
):
    endpoint = os.fsdecode(b"ipc://\xff")
    for check in (check_bind, check_connect):
        with pytest.raises(Unfit, match="no text") as refused:
            check(endpoint)
        str(refused.value).encode()
