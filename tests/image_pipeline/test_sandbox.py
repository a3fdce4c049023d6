"""The process that decodes may use some memory, and touch no file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from image_pipeline.supervision.sandbox import landlock_version

needs_landlock = pytest.mark.skipif(
    not landlock_version() and not os.environ.get("CI"),
    reason="this kernel has no landlock",
)


def shut_in(body: str, *arguments: object) -> str:
    """Run `body` in a process that has given up its rights."""
    code = (
        "import errno, os, signal, subprocess, sys, threading\n"
        "import zmq\n"
        "from PIL import Image\n"
        "from image_pipeline.supervision.sandbox import *\n"
        f"limit_memory(); assert shut_in()\n{body}"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@needs_landlock
def test_a_decoder_can_neither_read_nor_write_a_file(tmp_path: Path) -> None:
    """The trap: a decoder has the rights of the person who started it."""
    secret, planted = tmp_path / "secret", tmp_path / "planted"
    secret.write_text("mine")
    said = shut_in(
        "for path, mode in zip(sys.argv[1:], 'rw'):\n"
        "    try:\n"
        "        open(path, mode)\n"
        "    except PermissionError as error:\n"
        "        print(errno.errorcode[error.errno])\n",
        secret,
        planted,
    )
    assert said.split() == ["EACCES", "EACCES"]
    assert not planted.exists()


@needs_landlock
def test_a_decoder_can_start_no_program() -> None:
    said = shut_in(
        "try:\n"
        "    os.execv('/bin/true', ['true'])\n"
        "except PermissionError:\n"
        "    print('refused')\n"
    )
    assert said == "refused"


@pytest.mark.skipif(
    landlock_version() < 6 and not os.environ.get("CI"),
    reason="this kernel's landlock does not hold back signals",
)
def test_a_decoder_can_send_no_signal_to_its_parent() -> None:
    said = shut_in(
        "try:\n"
        "    os.kill(os.getppid(), 0)\n"
        "except PermissionError:\n"
        "    print('refused')\n"
    )
    assert said == "refused"


@needs_landlock
def test_sockets_go_on_and_hosts_are_still_looked_up() -> None:
    said = shut_in(
        "import socket\n"
        "print(socket.getaddrinfo('localhost', 80)[0][4][0] in "
        "('127.0.0.1', '::1'))\n"
        "with zmq.Context() as context, context.socket(zmq.PULL) as pull, "
        "context.socket(zmq.PUSH) as push:\n"
        "    push.linger = 0\n"
        "    port = pull.bind_to_random_port('tcp://127.0.0.1')\n"
        "    push.connect(f'tcp://127.0.0.1:{port}')\n"
        "    push.send(b'x')\n"
        "    print(pull.poll(5_000) and pull.recv())\n"
    )
    assert said.splitlines() == ["True", "b'x'"]


def test_memory_beyond_the_limit_is_an_exception_and_no_killed_machine() -> (
    None
):
    said = shut_in(
        "try:\n"
        "    Image.new('RGBA', (30_000, 30_000))\n"
        "except MemoryError:\n"
        "    print('refused')\n"
        "print(Image.new('RGB', (4_000, 3_000)).size)\n"
    )
    assert said.splitlines() == ["refused", "(4000, 3000)"]
