"""Turn a slide into HTML: quotes, drawings, numbers and notes in place.

Everything happens at build time, so the page needs no Markdown parser and no
highlighter, and what the test looks at is what the room sees.
"""

import html
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from markdown_it.token import Token

from slides import BENCH, HERE, ROOT, DeckError
from slides.address import picture
from slides.code import TYPED, block, coloured, read_steps, size, terminal
from slides.deck import CONSOLES, MARKDOWN, Claim, Slide
from slides.live.stage import stage
from slides.numbers import text
from slides.quote import line_of, quote

RAW = "html_block"  # a token that is rendered as it is


def section(
    slide: Slide, number: int, read: set[Path], address: str = ""
) -> str:
    """Return the slide as a reveal.js section; add what was read to `read`.

    Raises `DeckError` when it points at something that is not there.
    """
    layout = slide.settings.get("layout", "")
    body = _html(_resolve(slide.body, read))
    if "steps" in slide.settings:
        first, item, rest = body.partition("<li>")
        body = first + item + rest.replace("<li>", '<li class="fragment">')
    code = picture(address) if address and "address" in slide.settings else ""
    return (
        f'<section id="{slide.slug}" data-timing="{slide.seconds}">\n'
        f'<div class="slide {layout}">\n'
        f"<header>{_html(slide.head)}</header>\n"
        f'<div class="body">{body}</div>{code}\n'
        f"<footer>{''.join(map(_proof, slide.claims))}</footer>\n"
        f'<span class="page">{number}</span>\n</div>\n'
        f'<aside class="notes">{_html(slide.notes)}</aside>\n</section>\n'
    )


def source_page(path: str) -> str:
    """Name the page of the built deck that shows a file of ours."""
    return "source/" + path.replace("/", "_") + ".html"


def _html(tokens: Iterable[Token]) -> str:
    renderer = MARKDOWN.renderer
    return str(renderer.render(list(tokens), MARKDOWN.options, {}))


def _proof(claim: Claim) -> str:
    """Return the test's own sentence, or the deck's sentence about it."""
    line, said = line_of(ROOT / claim.path, claim.test)
    sentence = html.escape((said or claim.says).rstrip("."))
    return (
        f'<p class="proof"><a href="{source_page(claim.path)}#L{line}"'
        f' title="{claim.node}">{sentence}</a></p>'
    )


def _resolve(tokens: list[Token], read: set[Path]) -> list[Token]:
    """Replace what points at something by what it points at."""
    resolved: list[Token] = []
    for token in tokens:
        if token.type == "inline" and (made := _directive(token, read)):
            resolved[-1] = _raw(made)  # in the place of its paragraph
        elif token.type == "fence":
            resolved.append(_raw(_commands(token)))
        elif token.type != "paragraph_close" or resolved[-1].type != RAW:
            resolved.append(token)
    return resolved


def _raw(content: str) -> Token:
    return Token(RAW, "", 0, content=content)


def _commands(fence: Token) -> str:
    if fence.info not in CONSOLES:
        raise DeckError(
            f"{fence.content[:40]!r}: code is quoted from a tested file; "
            "only commands (```console) are typed into the deck."
        )
    return terminal(fence.content.splitlines(), [], TYPED)


def _directive(token: Token, read: set[Path]) -> str:
    """Return what a paragraph of one link or one picture stands for."""
    children = token.children or []
    if len(children) == 1 and children[0].type == "image":
        image = children[0].attrs
        drawing = _drawing(HERE / str(image["src"]), read)
        kind, _, show = str(image.get("title", "")).partition(" ")
        return stage(show, drawing, read) if kind == "live" else drawing
    for first, label, last in zip(
        children, children[1:], children[2:], strict=False
    ):
        if first.type == "link_open" and last.type == "link_close":
            _number(first, label, last, read)
    kinds = [each.type for each in children]
    is_link = kinds[-1:] == ["link_close"] and kinds.count(kinds[-1]) == 1
    if not is_link or children[0].tag != "a":
        return ""
    href, _, name = unquote(str(children[0].attrs["href"])).partition("#")
    if not href.startswith(("../", "recordings/")):
        return ""
    options = str(children[0].attrs.get("title", ""))
    path = (HERE / href).resolve()
    if not path.is_relative_to(ROOT):
        raise DeckError(f"A slide quotes {href}, which is not of the deck.")
    return _quotation(path, name, options, read)


def _quotation(path: Path, name: str, options: str, read: set[Path]) -> str:
    read.add(path)
    part, _, lit = options.partition(" ")
    if part not in ("bare", "body", "code"):
        part, lit = "", options
    lines = quote(path, name, part)
    steps = read_steps(lit, lines, f"{path.name}#{name}")
    if path.suffix == ".txt":
        return terminal(lines, steps)
    code = block(coloured(path, "\n".join(lines)), steps, size(lines))
    tracked = path.relative_to(ROOT).as_posix()
    link = f'<a href="{source_page(tracked)}">{tracked}</a>'
    return (
        f'<figure class="code">{code}<figcaption>{link}</figcaption></figure>'
    )


def _drawing(path: Path, read: set[Path]) -> str:
    """Inline a drawing, so that the theme and its steps reach into it."""
    read.add(path)
    try:
        drawing = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DeckError(f"A slide shows {path}: {error}.") from error
    return f'<figure class="drawing">{drawing}</figure>'


def _number(link: Token, label: Token, end: Token, read: set[Path]) -> None:
    """Put the measured number where a link to bench.json stands."""
    href, _, where = unquote(str(link.attrs["href"])).partition("#")
    if href != "data/bench.json":
        return
    read.add(BENCH)
    label.content = text(where, str(link.attrs.get("title", "")))
    link.tag = end.tag = "span"
    link.attrs = {"class": "number"}
