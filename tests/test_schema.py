"""The generated protobuf code is what the schema says."""

import subprocess
import sys
from pathlib import Path

from proto import messages_pb2
from tests.support import ROOT

GENERATED = ("proto/messages_pb2.py", "proto/messages_pb2.pyi")


def test_generated_code_is_what_make_proto_would_write(
    tmp_path: Path,
) -> None:
    protoc = Path(sys.executable).with_name("protoc")
    subprocess.run(
        [
            protoc,
            f"--python_out={tmp_path}",
            f"--pyi_out={tmp_path}",
            "proto/messages.proto",
        ],
        cwd=ROOT,
        check=True,
        timeout=30,
    )
    for name in GENERATED:
        fresh = (tmp_path / name).read_text()
        assert (ROOT / name).read_text() == fresh, f"{name}: run `make proto`"


def test_empty_bytes_are_a_valid_message_so_a_receiver_must_check() -> None:
    for name in messages_pb2.DESCRIPTOR.message_types_by_name:
        empty = getattr(messages_pb2, name).FromString(b"")
        assert not empty.ListFields()
