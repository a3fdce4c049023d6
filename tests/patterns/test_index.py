"""The rules of the chapters, and of the index that lists their claims."""

import ast

import pytest

from tests.patterns.index import (
    README,
    Chapter,
    Function,
    chapters,
    first_sentence,
    with_index,
)

LINES_ON_A_SLIDE = 25

each_chapter = pytest.mark.parametrize(
    "chapter", chapters(), ids=lambda chapter: chapter.path.stem
)


def test_the_index_is_what_the_chapters_say() -> None:
    readme = README.read_text()
    assert with_index(readme) == readme, "run `make patterns-index`"


@each_chapter
def test_every_test_states_its_claim_in_one_sentence(
    chapter: Chapter,
) -> None:
    assert chapter.claim.endswith("."), "the module docstring needs a claim"
    assert chapter.proofs
    for proof in chapter.proofs:
        assert proof.claim.endswith("."), f"{proof.test} needs a claim"
        assert "|" not in proof.claim, f"{proof.test} breaks the table"


@each_chapter
def test_a_pattern_fits_on_a_slide_and_stands_before_the_tests(
    chapter: Chapter,
) -> None:
    assert chapter.patterns, "a chapter shows at least one function"
    first_test = min(
        node.lineno
        for node in ast.parse(chapter.path.read_text()).body
        if isinstance(node, Function) and node.name.startswith("test_")
    )
    for node in chapter.patterns:
        assert node.end_lineno
        lines = node.end_lineno - node.lineno + 1
        assert lines <= LINES_ON_A_SLIDE, f"{node.name}: {lines} lines"
        assert node.end_lineno < first_test, f"move {node.name} to the top"
        assert ast.get_docstring(node), f"{node.name} needs a docstring"


@each_chapter
def test_the_chapters_are_written_in_one_hand(chapter: Chapter) -> None:
    text = chapter.path.read_text()
    head = ast.get_docstring(ast.parse(text)) or ""
    for heading in ("Sockets:", "Messages:", "Why:", "Sources:"):
        assert heading in head, f"{chapter.path.name} lacks {heading}"
    for other in ("zmq.Context[", "zmq.Socket[", "zmq.Event."):
        assert other not in text, f"{chapter.path.name} has {other}"


@each_chapter
def test_no_chapter_sleeps(chapter: Chapter) -> None:
    calls = [
        node
        for node in ast.walk(ast.parse(chapter.path.read_text()))
        if isinstance(node, ast.Attribute | ast.Name)
    ]
    names = {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in calls
    }
    assert "sleep" not in names, f"{chapter.path.name} sleeps"


def test_the_first_sentence_may_wrap_and_may_hold_a_version() -> None:
    assert (
        first_sentence("Since 4.3.5 the file\nstays. More.\n\nAnd more.")
        == "Since 4.3.5 the file stays."
    )


def test_a_new_index_keeps_what_was_written_by_hand() -> None:
    readme = README.read_text()
    before, after = readme.split("<!-- index")[0], readme.rsplit("-->")[-1]
    assert with_index(readme).startswith(before)
    assert with_index(readme).endswith(after)
