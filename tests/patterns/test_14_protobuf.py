"""Protocol Buffers say what the bytes of a frame mean, in any language.

ZeroMQ delivers bytes and never looks at them. protobuf gives them names and
types, and lets an old reader and a new writer live together. It does not
validate: empty bytes are a message, and so is some garbage. A receiver
checks what it cannot do without.

Sockets: REQ connects, REP binds. Messages: `Ping` and `Pong` of
proto/messages.proto, one frame each. Why: both ends may be written in any
language, and neither runs what the other has sent. Sources: protobuf.dev,
"Proto3 guide", "Updating a Message Type", and "Encoding"; Python, pickle.
"""

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq
from google.protobuf import descriptor_pb2, message_factory
from google.protobuf.message import DecodeError, Message
from hypothesis import given
from hypothesis import strategies as st

from pingpong.messages_pb2 import Ping, Pong
from tests.patterns.helpers import InThread, sockets
from tests.support import ROOT


def read_ping(data: bytes) -> Ping | str:
    """Return the ping in `data`, or a sentence that says what is wrong."""
    try:
        ping = Ping.FromString(data)
    except DecodeError:
        return f"these {len(data)} bytes are no protobuf message"
    if not ping.id:
        return "the ping has no id: 0 means that none was sent"
    return ping


def answer_pings(context: zmq.SyncContext, endpoint: str) -> None:
    """Answer every request; one that cannot be read gets an answer too."""
    with context.socket(zmq.REP) as server:
        server.bind(endpoint)
        while True:
            match read_ping(server.recv()):
                case Ping() as ping:
                    pong = Pong(id=ping.id, payload=ping.payload)
                case sentence:
                    pong = Pong(error=sentence)
            server.send(pong.SerializeToString())


def _protoc(*arguments: str | Path, text: bytes = b"") -> bytes:
    """Run the protobuf compiler, which is a program of its own in C++."""
    return subprocess.run(
        [Path(sys.executable).with_name("protoc"), *arguments],
        cwd=ROOT,
        input=text,
        check=True,
        capture_output=True,
        timeout=30,
    ).stdout


def _compile(folder: Path, name: str, fields: str) -> type[Message]:
    """Compile a schema of one message, `Reading`, and return its class."""
    schema = folder / f"{name}.proto"
    schema.write_text(
        f'syntax = "proto3"; package {name}; message Reading {{ {fields} }}'
    )
    compiled = folder / f"{name}.bin"
    _protoc(f"-I{folder}", f"--descriptor_set_out={compiled}", schema)
    files = descriptor_pb2.FileDescriptorSet.FromString(compiled.read_bytes())
    return message_factory.GetMessages(files.file)[f"{name}.Reading"]


def test_a_message_comes_back_as_it_was_sent(
    context: zmq.SyncContext, in_thread: InThread, endpoint: str
) -> None:
    """What one side writes, the other reads: the same fields and values."""
    in_thread(answer_pings, context, endpoint)
    with context.socket(zmq.REQ) as client:
        client.connect(endpoint)
        client.send(Ping(id=7, payload=b"\x00\xff").SerializeToString())
        assert Pong.FromString(client.recv()) == Pong(
            id=7, payload=b"\x00\xff"
        )


def test_empty_bytes_are_a_valid_message() -> None:
    """Empty bytes parse: every field is at its default, so check the id."""
    assert Ping.FromString(b"") == Ping()

    assert read_ping(b"") == "the ping has no id: 0 means that none was sent"


def test_some_garbage_parses() -> None:
    """Some random bytes are a valid message, so parsing proves little."""
    dice = random.Random(5555)
    garbage = [dice.randbytes(4) for _ in range(2_000)]
    parsed = []
    for data in garbage:
        try:
            parsed.append(Ping.FromString(data))
        except DecodeError:
            continue
    assert 0 < len(parsed) < len(garbage) / 2

    assert all(isinstance(read_ping(data), str) for data in garbage)


@given(st.binary(max_size=64))
def test_a_reader_that_checks_survives_any_bytes(data: bytes) -> None:
    """Whatever arrives, `read_ping` returns a ping with an id or a reason."""
    match read_ping(data):
        case Ping() as ping:
            assert ping.id
        case sentence:
            assert sentence


def test_a_server_answers_what_it_cannot_read_and_lives(
    context: zmq.SyncContext, in_thread: InThread, endpoint: str
) -> None:
    """A garbled request is answered with an error; the next one is served."""
    in_thread(answer_pings, context, endpoint)
    with context.socket(zmq.REQ) as client:
        client.connect(endpoint)
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        refusal = Pong.FromString(client.recv())
        assert (refusal.id, refusal.error) == (
            0,
            "these 18 bytes are no protobuf message",
        )

        client.send(Ping(id=8).SerializeToString())
        assert Pong.FromString(client.recv()) == Pong(id=8)


def test_an_older_reader_keeps_the_fields_that_it_does_not_know(
    tmp_path: Path,
) -> None:
    """Unknown fields survive a reader that was built before they existed."""
    old = _compile(tmp_path, "old", "double celsius = 1;")
    new = _compile(tmp_path, "new", "double celsius = 1; string room = 2;")
    sent = new(celsius=21.5, room="stage")

    relayed = old.FromString(sent.SerializeToString())
    assert not hasattr(relayed, "room")
    assert new.FromString(relayed.SerializeToString()) == sent


def test_a_newer_reader_sees_the_default_of_a_field_that_was_not_sent(
    tmp_path: Path,
) -> None:
    """A field that an older writer never sent reads as zero or empty."""
    old = _compile(tmp_path, "old", "double celsius = 1;")
    new = _compile(tmp_path, "new", "double celsius = 1; string room = 2;")
    assert new.FromString(old(celsius=3).SerializeToString()) == new(
        celsius=3, room=""
    )


def test_the_number_of_a_field_is_its_name_on_the_wire(
    tmp_path: Path,
) -> None:
    """A field may get a new name; its number must never get a new meaning."""
    first = _compile(tmp_path, "first", "sint32 celsius = 1;")
    renamed = _compile(tmp_path, "renamed", "sint32 temperature = 1;")
    reused = _compile(tmp_path, "reused", "uint32 floor = 1;")
    data = first(celsius=-20).SerializeToString()
    assert reused.FromString(data) == reused(floor=39), "nobody notices"

    assert renamed.FromString(data) == renamed(temperature=-20)


def test_two_messages_in_one_frame_become_a_third() -> None:
    """protobuf does not mark where a message ends; a ZeroMQ frame does."""
    one = Ping(id=1, payload=b"for the first").SerializeToString()
    two = Ping(id=2).SerializeToString()
    assert Ping.FromString(one + two) == Ping(id=2, payload=b"for the first")

    assert [Ping.FromString(frame).id for frame in (one, two)] == [1, 2]


class _Present:
    """An object that, when somebody unpickles it, makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return os.mkdir, (self.folder,)


def test_who_receives_a_pickle_runs_what_a_stranger_wrote(
    context: zmq.SyncContext, tmp_path: Path
) -> None:
    """recv_pyobj unpickles, and so runs whatever the sender likes."""
    with sockets(context, zmq.PAIR, zmq.PAIR) as (one, other):
        one.bind("inproc://presents")
        other.connect("inproc://presents")
        other.send_pyobj(_Present(tmp_path / "trap"))
        assert one.recv_pyobj() is None
        assert (tmp_path / "trap").is_dir(), "a call of the sender's choice"

        other.send_pyobj(_Present(tmp_path / "cure"))
        assert isinstance(read_ping(one.recv()), str)
        assert not (tmp_path / "cure").exists()


def test_a_program_in_another_language_reads_the_same_bytes() -> None:
    """`protoc --decode` prints what Python has written."""
    data = Ping(id=42, payload=b"hello").SerializeToString()
    name = Ping.DESCRIPTOR.full_name
    printed = _protoc(f"--decode={name}", "proto/messages.proto", text=data)
    assert printed == b'id: 42\npayload: "hello"\n'

    raw = _protoc("--decode_raw", text=data)
    assert raw.splitlines()[1] == b'2: "hello"', "numbers, without a schema"


def test_python_reads_what_another_program_has_written() -> None:
    """Python reads the bytes that `protoc --encode` writes from text."""
    data = _protoc(
        f"--encode={Pong.DESCRIPTOR.full_name}",
        "proto/messages.proto",
        text=b'id: 42 error: "too late"',
    )
    assert Pong.FromString(data) == Pong(id=42, error="too late")


def test_protoc_refuses_what_python_refuses() -> None:
    """Garbage is refused alike on both sides."""
    garbage = b"\xff" * 8
    with pytest.raises(subprocess.CalledProcessError):
        _protoc("--decode_raw", text=garbage)

    assert read_ping(garbage) == "these 8 bytes are no protobuf message"
