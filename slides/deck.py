"""Read the deck: one `Slide` for each part of deck.md between two rules.

The Markdown parser does the splitting, not a regular expression over lines,
so `---` and `Notes:` inside a code block are code. The directives are
ordinary Markdown, so that the deck also reads well on GitHub:

    <!-- time: 60; layout: cards -->           settings, seconds first
    [it is so](../tests/test_x.py#test_name)   a claim and its test
    [code](../pingpong/server.py#serve)        a quote; "poll|send" after
                                               the name lights it in steps
    ![what it shows](diagrams/name.svg)        a drawing, inlined; it is
                                               played after "live SHOW"
    [136 us](<data/bench.json#...> "us")       a measured number
    Notes:                                     the speaker's, to the end

A chapter (##) holds until the next one. A slide of no seconds stands behind
the end, for the questions of the room.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

from slides import DeckError

SETTINGS = {"time", "layout", "steps", "unproved", "address"}
TEST = re.compile(r"\.\./(tests/.+\.py)#(test_\w+)")
TESTS = "../tests/"
SECONDS = re.compile(r"[0-9]{1,4}")
STAYS = "console stays"  # a command that goes on until its slide is over
CONSOLES = ("console", STAYS)

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")
NO_TEXT = Token("inline", "", 0)  # of what is no paragraph


@dataclass(frozen=True)
class Claim:
    """What a slide says is shown by `test`, a function in `path`."""

    path: str  # from the root of the repository
    test: str
    says: str

    @property
    def node(self) -> str:
        return f"{self.path}::{self.test}"


@dataclass
class Slide:
    line: int
    head: list[Token] = field(default_factory=list)
    body: list[Token] = field(default_factory=list)
    notes: list[Token] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def titles(self) -> list[str]:
        """Its headings: the chapter, then the one idea of this slide."""
        return [t.content for t in self.head if t.type == "inline"]

    @property
    def seconds(self) -> int:
        return int(self.settings["time"])

    @property
    def slug(self) -> str:
        words = re.sub(r"[^a-z0-9]+", "-", " ".join(self.titles).lower())
        return words.strip("-")


def read(deck: Path) -> list[Slide]:
    """Return the slides of `deck`; `DeckError` says what is amiss."""
    try:
        tokens = MARKDOWN.parse(deck.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise DeckError(f"The deck cannot be read: {error}.") from error
    slides = [_slide(part, deck.name) for part in _split(tokens)]
    _continue_chapters(slides)
    slugs = [slide.slug for slide in slides]
    twins = {slug for slug in slugs if slugs.count(slug) > 1}
    if twins:
        raise DeckError(f"Slides share their headings: {sorted(twins)}.")
    return slides


def _continue_chapters(slides: list[Slide]) -> None:
    chapter: list[Token] = []
    for slide in slides:
        if slide.head[0].tag == "h2":
            chapter = slide.head[:3]
        elif slide.head[0].tag == "h3":
            slide.head[:0] = chapter


def _split(tokens: list[Token]) -> Iterator[list[SyntaxTreeNode]]:
    """Group top-level nodes (paragraph, list, fence, ...) into slides."""
    part: list[SyntaxTreeNode] = []
    for node in SyntaxTreeNode(tokens).children:
        if node.type == "hr":
            yield part
            part = []
        else:
            part.append(node)
    yield part


def _slide(part: list[SyntaxTreeNode], name: str) -> Slide:
    slide = Slide(next((node.map[0] + 1 for node in part if node.map), 0))
    where = f"{name}:{slide.line}"
    into = slide.head
    for node in part:
        block = node.to_tokens()
        text = block[1] if node.type == "paragraph" else NO_TEXT
        if node.type == "heading" and node.markup in ("=", "-"):
            raise DeckError(f"{where}: a rule needs a blank line before it.")
        if node.type == "html_block" and node.content.startswith("<!--"):
            slide.settings |= _settings(node.content, where)
        elif into is slide.notes:
            into.extend(block)
        elif text.content.strip() == "Notes:":
            into = slide.notes
        elif claims := _claims(text.children or [], where):
            slide.claims.extend(claims)
        else:
            if into is slide.head and node.type != "heading":
                into = slide.body
            into.extend(block)
    if not slide.titles:
        raise DeckError(f"{where}: a slide needs a heading.")
    if not SECONDS.fullmatch(slide.settings.get("time", "")):
        raise DeckError(f"{where}: a slide needs its time in seconds.")
    return slide


def _settings(comment: str, where: str) -> dict[str, str]:
    text = comment.strip().removeprefix("<!--").removesuffix("-->")
    pairs = [pair.partition(":") for pair in text.split(";")]
    found = {key.strip(): value.strip() for key, _, value in pairs}
    if unknown := found.keys() - SETTINGS:
        raise DeckError(f"{where}: no such setting: {sorted(unknown)}.")
    return found


def _claims(inline: list[Token], where: str) -> list[Claim]:
    claims = []
    for token, label in pairwise(inline):
        href = str(token.attrs.get("href", ""))
        if token.type != "link_open" or not href.startswith(TESTS):
            continue
        if found := TEST.fullmatch(href):
            claims.append(Claim(found[1], found[2], label.content))
        elif claims or "#" not in href:
            raise DeckError(f"{where}: {href} names no test.")
    return claims
