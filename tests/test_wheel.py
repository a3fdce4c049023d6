"""What `pip install` gives to somebody who has nothing of ours."""

import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from itertools import chain
from pathlib import Path

import pytest

from tests.support import ROOT, made_once

PACKAGES = {"pingpong", "image_pipeline", "plugin_system"}
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")
HOST = """
from plugin_system.executor import Executor
from plugin_system.registry import Registration

TEXT = Registration("text", "plugin_system.samples.text:plugin")


def count(text: str) -> object:
    with Executor([TEXT]) as executor:
        return executor.call("text", "count", text, timeout=3)
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def run(*argv: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        argv, cwd=cwd, capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def build(folder: Path) -> None:
        # A copy, since a build leaves files that the next one would pack.
        source = folder / "source"
        # Nor what other tests may be writing at this moment.
        ignored = shutil.ignore_patterns(
            *(".*", "build", "*.egg-info", "__pycache__", "tests")
        )
        shutil.copytree(ROOT, source, ignore=ignored)
        run(
            *(sys.executable, *PIP, "wheel", "--no-deps"),
            *("--wheel-dir", folder, source),
            cwd=folder,
        )

    folder = made_once(tmp_path_factory, "wheel", build)
    (built,) = folder.glob("beyond_http-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment with the wheel, beside proto-plus."""

    def install(folder: Path) -> None:
        venv.create(folder, symlinks=True)
        # By our pip, as an environment without one takes half the time to
        # make; and only what is run gets compiled.
        run(
            *(sys.executable, *PIP, "--python", folder / "bin" / "python"),
            *("install", "--no-compile", "proto-plus", wheel),
            cwd=folder,
        )

    return made_once(tmp_path_factory, "installed", install) / "bin"


def test_the_wheel_holds_the_three_packages_with_their_types(
    wheel: Path,
) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if "dist-info" not in top} == PACKAGES
    for package in PACKAGES:
        assert f"{package}/py.typed" in names
        assert f"{package}/messages_pb2.pyi" in names


def test_a_package_index_shows_no_link_into_the_repository(
    wheel: Path,
) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = (n for n in archive.namelist() if n.endswith("/METADATA"))
    shown = archive.read(name).decode().partition("\n\n")[2]
    assert "demo" in shown
    assert not re.findall(r"\]\((?!https?:)|src=", shown)


def test_what_is_installed_runs(installed: Path, tmp_path: Path) -> None:
    for package in PACKAGES:
        module = run(
            *(installed / "python", "-m", package, "--help"), cwd=tmp_path
        )
        command = installed / package.replace("_", "-")
        assert "demo" in module
        assert "demo" in run(command, "--help", cwd=tmp_path)
    # Entry points: the host finds its plugins without importing them.
    command = installed / "plugin-system"
    assert "text" in run(command, "list", cwd=tmp_path)
    said = run(
        *(command, "call", "text", "count"),
        '"to be or not to be"',
        cwd=tmp_path,
    )
    assert "6" in said


def test_a_shell_can_complete_the_commands(
    installed: Path, tmp_path: Path
) -> None:
    said = run(
        *("env", "_IMAGE_PIPELINE_COMPLETE=bash_complete"),
        *("COMP_WORDS=image-pipeline r", "COMP_CWORD=1"),
        installed / "image-pipeline",
        cwd=tmp_path,
    )
    assert said.split(",")[1].strip() == "run"


def test_proto_plus_works_beside_it(installed: Path, tmp_path: Path) -> None:
    """The trap: a package of ours named proto wrote over its module."""
    program = (
        "import proto, pingpong.messages_pb2, plugin_system.messages_pb2\n"
        "class Point(proto.Message): x = proto.Field(proto.INT32, number=1)\n"
        "print(Point(x=7).x, pingpong.messages_pb2.Ping(id=8).id)"
    )
    said = run(installed / "python", "-c", program, cwd=tmp_path)
    assert said == "7 8\n"


def test_mypy_finds_a_misspelt_keyword_in_a_host(
    installed: Path, tmp_path: Path
) -> None:
    (tmp_path / "host.py").write_text(HOST)
    # Of ours; the keywords of `call` are for the method, whatever they are.
    misspelt = HOST.replace("[TEXT])", "[TEXT], polcy=None)")
    (tmp_path / "misspelt.py").write_text(misspelt)
    said = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "mypy",
                "--strict",
                "--python-executable",
            ),
            *(installed / "python", "host.py", "misspelt.py"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=150,
    ).stdout
    assert "polcy" in said and "Found 1 error in 1 file" in said


def test_the_lock_names_every_dependency_and_no_host() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    locked = set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    del extras["fuzz"]  # not for every Python, and not for the tests
    wanted = {
        re.split(r"[^a-z0-9-]", each.lower())[0]
        for each in chain(project["dependencies"], *extras.values())
    }
    assert wanted - {project["name"]} <= locked
    assert "://" not in lock and "--index-url" not in lock
