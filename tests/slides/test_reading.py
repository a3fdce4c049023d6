"""How deck.md is read: slides, settings, notes, claims."""

from pathlib import Path

import pytest

from slides import DeckError
from slides.deck import Claim, Slide, read


def slides(tmp_path: Path, text: str) -> list[Slide]:
    deck = tmp_path / "deck.md"
    deck.write_text(text)
    return read(deck)


def test_a_rule_begins_the_next_slide(tmp_path: Path) -> None:
    first, second = slides(
        tmp_path,
        "# One\n\n<!-- time: 30 -->\n\n---\n\n"
        "## Part\n\n### Two\n\n<!-- time: 45; layout: cards -->\n\nWords.\n",
    )

    assert first.titles == ["One"]
    assert second.titles == ["Part", "Two"]
    assert [first.seconds, second.seconds] == [30, 45]
    assert second.settings["layout"] == "cards"


def test_a_chapter_holds_until_the_next_one(tmp_path: Path) -> None:
    first, second, third = slides(
        tmp_path,
        "## A\n\n### One\n\n<!-- time: 1 -->\n\n---\n\n"
        "### Two\n\n<!-- time: 1 -->\n\n---\n\n"
        "## B\n\n### One\n\n<!-- time: 1 -->\n",
    )

    assert [slide.titles for slide in (first, second, third)] == [
        ["A", "One"],
        ["A", "Two"],
        ["B", "One"],
    ]


def test_a_deck_that_is_no_text_is_a_sentence(tmp_path: Path) -> None:
    deck = tmp_path / "deck.md"
    with pytest.raises(DeckError, match=r"cannot be read: .*No such file"):
        read(deck)
    deck.write_bytes(b"# \xff")
    with pytest.raises(DeckError, match=r"cannot be read: .*utf-8"):
        read(deck)


def test_rules_and_notes_inside_code_are_code(tmp_path: Path) -> None:
    [slide] = slides(
        tmp_path,
        "# One\n\n<!-- time: 30 -->\n\n"
        "```console\n$ cat x\n\n---\n\nNotes:\n```\n\nNotes:\n\nSay this.\n",
    )

    assert "---\n\nNotes:" in slide.body[0].content
    assert [t.content for t in slide.notes if t.content] == ["Say this."]


def test_what_follows_the_word_notes_is_for_the_speaker(
    tmp_path: Path,
) -> None:
    [slide] = slides(
        tmp_path, "# One\n\n<!-- time: 30 -->\n\nSeen.\n\nNotes:\n\nHeard.\n"
    )

    assert [t.content for t in slide.body if t.content] == ["Seen."]
    assert [t.content for t in slide.notes if t.content] == ["Heard."]


def test_a_claim_is_a_link_to_its_test(tmp_path: Path) -> None:
    [slide] = slides(
        tmp_path,
        "# One\n\n<!-- time: 30 -->\n\n"
        "[it is so](../tests/a.py#test_b),\n"
        "[and so](../tests/a.py#test_c)\n",
    )

    assert slide.claims == [
        Claim("tests/a.py", "test_b", "it is so"),
        Claim("tests/a.py", "test_c", "and so"),
    ]
    assert slide.body == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Words.\n", "needs a heading"),
        ("# One\n", "needs its time"),
        ("# One\n\n<!-- time: soon -->\n", "needs its time"),
        ("# One\n\n<!-- time: \u00b2 -->\n", "needs its time"),
        ("# One\n\n<!-- time: 30; tiem: 3 -->\n", "no such setting"),
        ("# One\n\n<!-- time: 30 -->\n\nWords\n---\n", "blank line"),
        (
            "# One\n\n<!-- time: 30 -->\n\n[it is so](../tests/x.py)\n",
            "names no test",
        ),
        (
            "# A\n\n<!-- time: 1 -->\n\n---\n\n# A\n\n<!-- time: 1 -->\n",
            "share their headings",
        ),
    ],
)
def test_a_slip_is_named_with_its_place(
    tmp_path: Path, text: str, complaint: str
) -> None:
    with pytest.raises(DeckError, match=complaint):
        slides(tmp_path, text)
