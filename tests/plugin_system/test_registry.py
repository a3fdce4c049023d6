"""Registration without code: metadata and files, and never an import."""

import os
import sys
from pathlib import Path

import pytest

from plugin_system.errors import IncompatiblePlugin, PluginError
from plugin_system.registry import (
    BadRegistration,
    Registration,
    discover,
    read,
    samples,
)

from .conftest import LONG_S, Run

BARE = Path(__file__).with_name("bare_plugin.py")


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_the_samples_come_only_to_those_who_ask_for_them() -> None:
    """The trap: a product had a plugin named chaos, with `crash`."""
    assert not {"text", "image", "chaos"} & set(discover()[0])
    assert {"text", "image", "chaos"} <= set(discover(known=samples())[0])


def test_a_folder_that_is_not_there_is_told_and_may_be_text(
    tmp_path: Path,
) -> None:
    write(tmp_path, "good.toml", 'argv = ["x"]')
    found, problems = discover([str(tmp_path), "/no/such"])
    assert "good" in found
    assert problems == ["/no/such: there is no such folder"]


def test_an_entry_point_is_read_and_its_module_is_never_imported(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "greeter-1.0.dist-info"
    info.mkdir()
    write(info, "METADATA", "Metadata-Version: 2.1\nName: greeter\n")
    write(
        info,
        "entry_points.txt",
        "[plugin_system.plugins]\ngreeter = greeter_module:plugin\n",
    )
    write(
        tmp_path,
        "greeter_module.py",
        "from plugin_system.sdk import Plugin\n"
        "plugin = Plugin(version='1.0')\n"
        "@plugin.method\n"
        "def greet(name):\n"
        "    return f'Hello, {name}!'\n",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    found, _ = discover()
    assert found["greeter"].source == "entry point of greeter"
    executor = run(found["greeter"])
    answer = executor.call("greeter", "greet", "you", timeout=LONG_S)
    assert answer == "Hello, you!"
    assert executor.status("greeter").version == "1.0"
    assert "greeter_module" not in sys.modules


def test_a_plugin_that_uses_only_pyzmq_and_protobuf(
    run: Run, tmp_path: Path
) -> None:
    write(tmp_path, "bare.toml", f'argv = ["python", "{BARE}"]\n')
    executor = run(discover([tmp_path])[0]["bare"])
    assert executor.call("bare", "double", 21, timeout=LONG_S) == 42
    with pytest.raises(PluginError, match="NotUnderstood: cannot double"):
        executor.call("bare", "double", "text", timeout=LONG_S)
    executor.ping("bare")
    assert executor.status("bare").starts == 1


def test_a_program_that_is_no_plugin_says_so(
    run: Run, tmp_path: Path
) -> None:
    read_it = read(write(tmp_path, "true.toml", 'argv = ["true"]\n'))
    with pytest.raises(IncompatiblePlugin, match="so it is no plugin"):
        run(read_it).ping("true", timeout=LONG_S)


def test_a_program_that_is_not_there_says_so(
    run: Run, tmp_path: Path
) -> None:
    missing = read(write(tmp_path, "gone.toml", 'argv = ["./gone"]\n'))
    with pytest.raises(Exception, match=r"cannot run \./gone: No such file"):
        run(missing).ping("gone", timeout=LONG_S)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("argv = [", "plug.toml"),
        ("", "needs a target or an argv"),
        ('argv = "ls"', "argv must be a list"),
        ("argv = [1]", "may_read and env hold strings"),
        ('argv = ["x"]\ncolour = "red"', "nobody knows colour"),
        ('argv = ["x"]\n[limits]\nfuel = 1', "nobody knows fuel"),
        ('argv = ["x"]\n[limits]\nopen_files = -1', "numbers above 0"),
        ('argv = ["x"]\n[limits]\nopen_files = inf', "numbers above 0"),
        ('argv = ["x"]\n[limits]\nopen_files = 0.5', "numbers above 0"),
        (f'argv = ["x"]\n[limits]\ncpu_seconds = {2**63}', "above 0 and"),
        ('argv = ["x"]\nstart_timeout = inf', "numbers above 0"),
        ('argv = ["x\\u0000y"]', "may not contain NUL"),
        ('argv = ["x"]\n[env]\n"A=B" = "c"', "may not contain NUL"),
        ('argv = ["x"]\n[env]\nA = "\\u0000"', "may not contain NUL"),
        ('argv = ["x"]\nmemory = "512 MB"', "or such as '512 MiB'"),
        ('argv = ["x"]\nmemory = -1', "or such as '512 MiB'"),
        ('argv = ["x"]\nmemory = "9999999999 GiB"', "memory is a number"),
        ('argv = ["x"]\nmay_read = ["/"]', "needs sandbox = true"),
        ('argv = ["x"]\nsandbox = "no"', "sandbox must be a bool"),
        ("argv = " + 100_000 * "[", "recursion"),
    ],
)
def test_a_bad_file_is_told_and_stops_no_other(
    tmp_path: Path, text: str, message: str
) -> None:
    write(tmp_path, "plug.toml", text)
    write(tmp_path, "good.toml", 'argv = ["x"]')
    found, problems = discover([tmp_path])
    assert "good" in found
    assert len(problems) == 1
    assert message in problems[0]


def test_what_is_no_file_is_told_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "plug.toml")
    _, problems = discover([tmp_path])
    assert "plug.toml: no regular file" in problems[0]


def test_two_plugins_of_one_name_are_told(tmp_path: Path) -> None:
    write(tmp_path, "text.toml", 'argv = ["x"]')
    found, problems = discover([tmp_path], samples())
    assert found["text"].source == "this package"
    assert "the name text is taken by this package" in problems[0]


def test_all_of_a_file_is_used(tmp_path: Path) -> None:
    registration = read(
        write(
            tmp_path,
            "plug.toml",
            'argv = ["x", "y"]\nstart_timeout = 3\nleave_timeout = 4\n'
            'pass_env = ["SSL_CERT_FILE"]\nmemory = "512 MiB"\n'
            'sandbox = true\nmay_read = ["pictures"]\n'
            "[limits]\ncpu_seconds = 20\nopen_files = 30\n"
            '[env]\nA = "b"\n',
        )
    )
    assert registration == Registration(
        "plug",
        argv=("x", "y"),
        folder=tmp_path,
        env={"A": "b"},
        limits={"RLIMIT_AS": 2**29, "RLIMIT_CPU": 20, "RLIMIT_NOFILE": 30},
        start_timeout=3.0,
        leave_timeout=4.0,
        pass_env=("SSL_CERT_FILE",),
        sandbox=True,
        may_read=("pictures",),
        source=str(tmp_path / "plug.toml"),
    )


@pytest.mark.parametrize("name", ["", "../up", "UPPER", "a" * 33, "-x"])
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    with pytest.raises(BadRegistration, match="cannot name a plugin"):
        Registration(name, target="a:b")
