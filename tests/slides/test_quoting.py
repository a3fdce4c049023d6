"""What a slide quotes is found by name, never by line number."""

from pathlib import Path

import pytest

from slides import DeckError
from slides.code import LARGEST, SMALLEST, block, read_steps, size
from slides.quote import line_of, quote

PYTHON = '''\
"""A module."""

limit = 3


class Worker:
    @property
    def name(self) -> str:
        """Say who it is."""
        # region who
        return "worker"
        # endregion


def work(task: str) -> str:
    return task.upper()
'''
PROTO = """\
// A question.
message Ping {
  fixed64 id = 1;
}

message Pong {
}
"""
C = """\
#include <zmq.h>

static int serve(void *socket) {
  return 0;
}

int main(void) {
  return serve(NULL);
}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.py").write_text(PYTHON)
    (tmp_path / "a.proto").write_text(PROTO)
    (tmp_path / "a.c").write_text(C)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "part", "expected"),
    [
        ("work", "", "def work(task: str) -> str:\n    return task.upper()"),
        ("work", "body", "return task.upper()"),
        ("limit", "", "limit = 3"),
        (
            "Worker.name",
            "bare",
            '@property\ndef name(self) -> str:\n    return "worker"',
        ),
        ("who", "", 'return "worker"'),
        (
            "Worker.name",
            "code",
            '@property\ndef name(self) -> str:\n    """Say who it is."""\n'
            '    return "worker"',
        ),
        (
            "limit,work",
            "",
            "limit = 3\n\ndef work(task: str) -> str:\n"
            "    return task.upper()",
        ),
    ],
)
def test_a_symbol_or_a_region_of_python(
    folder: Path, name: str, part: str, expected: str
) -> None:
    assert "\n".join(quote(folder / "a.py", name, part)) == expected


def test_a_message_of_a_schema(folder: Path) -> None:
    assert quote(folder / "a.proto", "Ping") == [
        "message Ping {",
        "  fixed64 id = 1;",
        "}",
    ]


def test_a_function_in_c_and_not_its_call(folder: Path) -> None:
    assert quote(folder / "a.c", "serve") == [
        "static int serve(void *socket) {",
        "  return 0;",
        "}",
    ]


@pytest.mark.parametrize("name", ["gone", "Worker.gone", "limit,gone"])
def test_what_is_gone_stops_the_build(folder: Path, name: str) -> None:
    with pytest.raises(DeckError, match="0 things named"):
        quote(folder / "a.py", name)


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("a.py", "limit = = 3\n", r"a\.py:1: invalid syntax"),
        ("a.py", "limit = 3\0\n", r"a\.py:1: .*null bytes"),
        ("a.proto", "message limit {\n", "0 things named limit"),
    ],
)
def test_source_that_is_only_half_typed_stops_the_build(
    folder: Path, name: str, text: str, complaint: str
) -> None:
    (folder / name).write_text(text)

    with pytest.raises(DeckError, match=complaint):
        quote(folder / name, "limit")


def test_what_is_there_twice_stops_the_build(folder: Path) -> None:
    (folder / "a.py").write_text(PYTHON + "\n\ndef work() -> None: ...\n")

    with pytest.raises(DeckError, match="2 things named work"):
        quote(folder / "a.py", "work")


def test_a_file_that_is_gone_stops_the_build(folder: Path) -> None:
    with pytest.raises(DeckError, match=r"nope\.py"):
        quote(folder / "nope.py", "work")


def test_a_test_is_found_by_its_name(folder: Path) -> None:
    assert line_of(folder / "a.py", "work") == (15, "")
    assert line_of(folder / "a.py", "Worker.name")[1] == "Say who it is."


def test_steps_light_lines_by_what_they_say() -> None:
    lines = ["open", "poll", "read", "poll", "close"]

    assert read_steps("poll|open,read..close|read..", lines, "a.py") == [
        {2, 4},
        {1, 3, 4, 5},
        {3, 4, 5},
    ]


@pytest.mark.parametrize("step", ["gone", "open..gone", "close..open"])
def test_a_step_whose_line_is_gone_stops_the_build(step: str) -> None:
    with pytest.raises(DeckError, match="has no line with"):
        read_steps(step, ["open", "poll", "close"], "a.py")


def test_code_is_as_large_as_it_can_be_and_never_too_small() -> None:
    assert size(["x = 1"]) == LARGEST
    assert SMALLEST <= size(["x" * 78] * 15) < LARGEST
    with pytest.raises(DeckError, match="too much code"):
        size(["x"] * 40)
    with pytest.raises(DeckError, match="quotes nothing"):
        size([])


def test_after_the_last_step_everything_is_lit() -> None:
    shown = block(["a", "b"], [{1}, {2}], LARGEST)
    assert shown.count('class="fragment k') == 2
    assert '<span class="line on0 on2">a' in shown
    assert '<span class="line on1 on2">b' in shown
