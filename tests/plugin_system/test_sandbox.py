"""A plugin that asks for a sandbox reads and kills nothing of yours."""

import ctypes
import dataclasses
import os
import sys
from pathlib import Path

import pytest

from plugin_system.errors import PluginError
from plugin_system.registry import read

from .conftest import LONG_S, Run

LANDLOCK = ctypes.CDLL(None).syscall(444, None, 0, 1)  # its version
PLUGIN = """
import os
from plugin_system.sdk import Plugin

plugin = Plugin()

@plugin.method
def look(path):
    with open(path) as file:
        return file.read()

@plugin.method
def write(path):
    with open(path, "w") as file:
        file.write("planted")

@plugin.method
def kill(pid):
    os.kill(pid, 0)

@plugin.method
def run(program):
    return os.spawnv(os.P_WAIT, program, [program])

@plugin.method
def take(size):
    return len(bytearray(size))

plugin.serve()
"""
pytestmark = pytest.mark.skipif(
    LANDLOCK < 6 and not os.environ.get("CI"),
    reason="this kernel has no landlock that holds back signals, too",
)


@pytest.fixture
def registered(folder: Path) -> Path:
    """A plugin that is allowed one folder, beside one that it is not."""
    plugins = folder / "plugins"
    for each in ("plugins", "allowed", "private"):
        (folder / each).mkdir()
    (folder / "allowed" / "file").write_text("to be read")
    (folder / "private" / "file").write_text("mine")
    (plugins / "boxed.py").write_text(PLUGIN)
    (plugins / "boxed.toml").write_text(
        'argv = ["python", "boxed.py"]\nmemory = "1 GiB"\n'
        'sandbox = true\nmay_read = ["../allowed"]\n'
    )
    return plugins / "boxed.toml"


def test_a_plugin_in_a_sandbox_sees_only_what_it_may_read(
    run: Run, registered: Path, folder: Path
) -> None:
    """The trap: a plugin is a program with the rights of its host."""
    executor = run(read(registered))
    planted = folder / "allowed" / "planted"

    def refused(method: str, argument: object) -> None:
        with pytest.raises(PluginError, match="PermissionError"):
            executor.call("boxed", method, argument, timeout=LONG_S)

    allowed = str(folder / "allowed" / "file")
    assert executor.call("boxed", "look", allowed) == "to be read"
    refused("look", str(folder / "private" / "file"))
    refused("look", f"/proc/{os.getpid()}/environ")
    refused("write", str(planted))
    refused("kill", os.getpid())
    assert not planted.exists()
    assert executor.call("boxed", "run", "/bin/true") == 0
    executor.restart("boxed")
    assert executor.call("boxed", "look", allowed) == "to be read"


def test_memory_beyond_its_limit_is_the_plugins_own_error(
    run: Run, registered: Path
) -> None:
    executor = run(read(registered))
    with pytest.raises(PluginError, match="MemoryError"):
        executor.call("boxed", "take", 2**30, timeout=LONG_S)
    assert executor.call("boxed", "take", 2**20) == 2**20


@pytest.mark.parametrize(
    "how",
    [
        'target = "plugin_system.samples.image:plugin"',
        f'argv = ["{sys.executable}", "bare.py"]',
        'argv = ["sh", "-c", "exec python3 bare.py"]',
    ],
)
def test_a_program_of_any_kind_can_be_shut_in(
    run: Run, folder: Path, how: str
) -> None:
    bare = Path(__file__).parent / "bare_plugin.py"
    (folder / "bare.py").write_text(bare.read_text())
    (folder / "bare.toml").write_text(f"{how}\nsandbox = true\n")
    found = dataclasses.replace(
        read(folder / "bare.toml"),
        env={
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        },
    )
    run(found).ping("bare", timeout=LONG_S)
