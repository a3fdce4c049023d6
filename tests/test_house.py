"""The rules of the house: who may import whom, and how wide a line is."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT

EXAMPLES = ("pingpong", "image_pipeline", "plugin_system")
ROOMS = (*EXAMPLES, "slides", "tests")
SLIDE_COLUMNS = 78


def tracked(*patterns: str) -> list[Path]:
    listing = subprocess.run(
        [
            "git",
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            *patterns,
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    ).stdout
    return [ROOT / line for line in listing.splitlines()]


def rooms_imported_by(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        else:
            continue
        yield from (
            room for name in names if (room := name.split(".")[0]) in ROOMS
        )


@pytest.mark.parametrize("package", [*EXAMPLES, "slides"])
def test_a_package_imports_only_itself(package: str) -> None:
    for path in tracked(f"{package}/*.py", ":!slides/bench"):
        foreign = set(rooms_imported_by(path)) - {package}
        assert not foreign, f"{path.relative_to(ROOT)} imports {foreign}"


def test_every_line_that_a_slide_may_quote_fits_on_it() -> None:
    quotable = [
        path
        for path in tracked("*.py", "*.proto", "*.c", "*.h")
        if "_pb2" not in path.name
    ]
    assert quotable
    too_wide = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in quotable
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > SLIDE_COLUMNS
    ]
    assert not too_wide
