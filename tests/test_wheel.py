"""What `pip install` gives to somebody who has nothing of ours."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.support import ROOT


def run(*argv: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        argv, cwd=cwd, capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(300)
def test_a_wheel_in_an_empty_environment_brings_all_that_runs(
    tmp_path: Path,
) -> None:
    pip = ("-m", "pip", "--quiet", "--disable-pip-version-check")
    # A copy, since a build leaves files behind that the next one would pack.
    source = tmp_path / "source"
    # Nor what other tests may be writing at this moment.
    unpacked = shutil.ignore_patterns(
        *(".*", "build", "*.egg-info", "__pycache__", "tests")
    )
    shutil.copytree(ROOT, source, ignore=unpacked)
    run(
        *(sys.executable, *pip, "wheel", "--no-deps"),
        *("--wheel-dir", tmp_path, source),
        cwd=tmp_path,
    )
    (wheel,) = tmp_path.glob("beyond_http-*.whl")
    venv.create(tmp_path / "empty")
    python = tmp_path / "empty" / "bin" / "python"
    # By our pip, as an environment without one takes half the time to make;
    # and only what is run gets compiled.
    run(
        *(sys.executable, *pip, "--python", python),
        *("install", "--no-compile", wheel),
        cwd=tmp_path,
    )

    for package in ("pingpong", "image_pipeline", "plugin_system"):
        said = run(python, "-m", package, "--help", cwd=tmp_path)
        assert "demo" in said
    # Entry points: the host finds its plugins without importing them.
    plugins = run(python, "-m", "plugin_system", "list", cwd=tmp_path)
    assert "text" in plugins
    answer = run(
        *(python, "-m", "plugin_system", "call", "text", "count"),
        '"to be or not to be"',
        cwd=tmp_path,
    )
    assert "6" in answer
