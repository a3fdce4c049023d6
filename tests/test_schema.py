"""Each package holds the code generated from the one schema."""

import subprocess
import sys
from pathlib import Path

import pytest

import image_pipeline.messages_pb2
import pingpong.messages_pb2
import plugin_system.messages_pb2
from tests.support import ROOT

PACKAGES = ("pingpong", "image_pipeline", "plugin_system")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What protoc writes today."""
    folder = tmp_path_factory.mktemp("generated")
    subprocess.run(
        [
            Path(sys.executable).with_name("protoc"),
            f"--python_out={folder}",
            f"--pyi_out={folder}",
            "proto/messages.proto",
        ],
        cwd=ROOT,
        check=True,
        timeout=30,
    )
    return folder / "proto"


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("name", ["messages_pb2.py", "messages_pb2.pyi"])
def test_generated_code_is_what_make_proto_would_write(
    package: str, name: str, fresh: Path
) -> None:
    kept = (ROOT / package / name).read_text()
    assert kept == (fresh / name).read_text(), f"{name}: run `make proto`"


def test_the_three_copies_are_the_same_classes_in_one_process() -> None:
    """protobuf keeps one pool, and the copies describe the same file."""
    for name in pingpong.messages_pb2.DESCRIPTOR.message_types_by_name:
        first, *others = (
            getattr(module, name)
            for module in (
                pingpong.messages_pb2,
                image_pipeline.messages_pb2,
                plugin_system.messages_pb2,
            )
        )
        assert all(other is first for other in others)


def test_empty_bytes_are_a_valid_message_so_a_receiver_must_check() -> None:
    schema = pingpong.messages_pb2
    for name in schema.DESCRIPTOR.message_types_by_name:
        empty = getattr(schema, name).FromString(b"")
        assert not empty.ListFields()
