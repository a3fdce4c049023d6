"""The deck cannot lie: each claim has its test, each quote its source."""

import re
import subprocess
from html import unescape
from pathlib import Path

import pytest

from slides import DECK, HERE, ROOT, SPOKEN_S, DeckError
from slides import check as checking
from slides.check import faults, lacks
from slides.deck import read
from slides.render import section
from slides.site import ASSETS, asset

TAG = re.compile(r"<[^>]+>")


@pytest.mark.slow
def test_every_claim_has_its_test_and_the_times_add_up() -> None:
    assert faults() == []


def edited(tmp_path: Path, old: str, new: str) -> Path:
    deck = DECK.read_text()
    assert old in deck
    path = tmp_path / "deck.md"
    path.write_text(deck.replace(old, new, 1))
    return path


def test_a_renamed_test_is_missed(tmp_path: Path) -> None:
    name = read(DECK)[7].claims[0].test
    path = edited(tmp_path, name, f"{name}_gone")

    with pytest.raises(DeckError, match=f"named {name}_gone"):
        faults(path)


def test_something_runs_at_least_every_four_minutes() -> None:
    """A show or a demo, and between them drawings."""
    still, stretches = 0, []
    for slide in read(DECK):
        shown = section(slide, 0, set())
        if "data-show" in shown or slide.settings.get("layout") == "demo":
            stretches.append(still)
            still = 0
        else:
            still += slide.seconds

    assert max(stretches) <= 240


def test_a_function_that_pytest_does_not_collect_proves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    claim = next(slide.claims[0] for slide in read(DECK) if slide.claims)
    monkeypatch.setattr(checking, "tests_in", lambda _: {claim.node})

    missing = [fault for fault in faults() if "no test" in fault]
    assert missing and not any(claim.node in fault for fault in missing)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("time: 40;", "time: 900;", f"and has {SPOKEN_S} s"),
        ("Notes:\n\nBefore", "Good", "no notes"),
        ("; unproved: it only says hello", "", "no test proves it"),
    ],
)
def test_what_a_slide_lacks_is_said(
    tmp_path: Path, old: str, new: str, fault: str
) -> None:
    slides = read(edited(tmp_path, old, new))

    assert any(fault in found for found in lacks(slides))


def test_an_exemption_that_is_no_longer_needed_is_a_fault(
    tmp_path: Path,
) -> None:
    comment = "<!-- time: 25 -->\n\n![A REQ socket"
    path = edited(
        tmp_path, comment, comment.replace("25", "25; unproved: once")
    )

    assert any("still says that it is" in f for f in lacks(read(path)))


def test_code_is_quoted_from_tracked_files_only(deck: Path) -> None:
    page = (deck / "index.html").read_text()
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    ).stdout.splitlines()
    quotes = re.findall(
        r'<figure class="code">.*?<code>(.*?)</code>.*?<a [^>]*>(.*?)</a>',
        page,
        re.DOTALL,
    )

    assert len(quotes) == page.count('<figure class="code">') > 0
    for code, source in quotes:
        assert source in tracked
        stands_there = {
            line.strip() for line in (ROOT / source).read_text().splitlines()
        }
        for line in unescape(TAG.sub("", code)).splitlines():
            assert line.strip() in stands_there, f"{source}: {line}"


def test_terminals_show_typed_commands_or_recordings(deck: Path) -> None:
    page = (deck / "index.html").read_text()
    recorded = {
        line
        for path in (HERE / "recordings").glob("*.txt")
        for line in path.read_text().splitlines()
    }
    terminals = re.findall(
        r'<figure class="terminal">.*?<code>(.*?)</code>', page, re.DOTALL
    )

    assert terminals
    for terminal in terminals:
        for line in unescape(TAG.sub("", terminal)).splitlines():
            assert not line or line.startswith("$ ") or line in recorded, line


def test_code_is_not_typed_into_the_deck(tmp_path: Path) -> None:
    path = edited(tmp_path, "```console", "```python")

    with pytest.raises(DeckError, match="quoted from a tested file"):
        faults(path)


@pytest.mark.slow
def test_every_link_of_the_built_deck_leads_somewhere(deck: Path) -> None:
    page = (deck / "index.html").read_text()
    ids = set(re.findall(r' id="([^"]+)"', page))
    links = set(re.findall(r'(?:href|src)="([^"]+)"', page))

    assert any(link.startswith("source/") for link in links)
    for link in links:
        path, _, name = link.partition("#")
        if link.startswith(("https://", "data:")):
            continue
        if not path:
            assert name.lstrip("/") in ids, link
            continue
        target = deck / path
        assert target.is_file(), link
        assert not name or f'id="{name}"' in target.read_text(), link


def test_a_claim_opens_the_source_at_its_test(deck: Path) -> None:
    page = (deck / "index.html").read_text()
    claim = next(slide.claims[0] for slide in read(DECK) if slide.claims)
    link = re.search(rf'href="([^"]+)#(L\d+)" title="{claim.node}"', page)
    assert link

    shown = (deck / link[1]).read_text()
    [line] = re.findall(rf'<span id="{link[2]}">(.*)', shown)
    assert unescape(TAG.sub("", line)).startswith(f"def {claim.test}(")


def test_nothing_in_the_deck_names_the_network(deck: Path) -> None:
    for path in deck.glob("*.css"):
        assert not re.search(
            r"url\((?!\"?(data:|IBM))|@import", path.read_text()
        )
    for name in ("index.html", "print.html"):
        page = (deck / name).read_text()
        assert not re.search(r'<(link|script|img)[^>]+"(https?:)?//', page)


def test_what_packages_carry_is_what_was_reviewed() -> None:
    for name, digest in ASSETS.items():
        assert asset(name, digest).is_file()
    name, digest = next(iter(ASSETS.items()))
    with pytest.raises(DeckError, match="not the file that was reviewed"):
        asset(name, digest[::-1])
    with pytest.raises(DeckError, match="pip install"):
        asset("nowhere_at_all/x.js", digest)
