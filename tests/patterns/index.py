"""Write the index of README.md from the chapters: `make patterns-index`.

The first sentence of a chapter's docstring is what the chapter claims, the
first sentence of a test's docstring what the test proves. Only what stands
between the two marks of README.md is written; the rest is by hand.
"""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
README = FOLDER / "README.md"
BEGIN = "<!-- index: written by `make patterns-index` -->\n"
END = "<!-- end of index -->\n"

# Where the name of a file, with spaces, is not the title of its chapter.
TITLES = {
    "request_reply": "Request and reply",
    "publish_subscribe": "Publish and subscribe",
    "push_pull": "Push and pull",
    "router_dealer": "ROUTER and DEALER",
    "pair": "PAIR",
    "stream": "STREAM",
    "high_water_mark": "High-water mark",
    "background_io": "Background I/O",
    "protobuf": "Protocol Buffers",
    "curve": "CURVE",
    "asyncio": "asyncio",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Proof:
    """One test and the claim that it proves."""

    test: str
    claim: str
    line: int


@dataclass(frozen=True)
class Chapter:
    """One file: its pattern, which a slide may quote, and its proofs."""

    path: Path
    number: int
    title: str
    claim: str
    patterns: tuple[Function, ...]
    proofs: tuple[Proof, ...]


def chapters() -> list[Chapter]:
    """Read the chapters in the order of their numbers, without importing."""
    paths = sorted(FOLDER.glob("test_[0-9][0-9]_*.py"))
    return [read_chapter(path) for path in paths]


def read_chapter(path: Path) -> Chapter:
    module = ast.parse(path.read_text())
    number, name = path.stem.removeprefix("test_").split("_", 1)
    functions = [node for node in module.body if isinstance(node, Function)]
    return Chapter(
        path=path,
        number=int(number),
        title=TITLES.get(name, name.replace("_", " ").capitalize()),
        claim=first_sentence(ast.get_docstring(module)),
        patterns=tuple(node for node in functions if is_pattern(node)),
        proofs=tuple(
            Proof(
                node.name,
                first_sentence(ast.get_docstring(node)),
                node.lineno,
            )
            for node in functions
            if node.name.startswith("test_")
        ),
    )


def is_pattern(node: Function) -> bool:
    """A public function that is neither a test nor a fixture."""
    return (
        not node.name.startswith(("_", "test_")) and not node.decorator_list
    )


def first_sentence(docstring: str | None) -> str:
    """The text up to the full stop of its first sentence, on one line."""
    paragraph = " ".join((docstring or "").split("\n\n")[0].split())
    return re.split(r"(?<=\.)\s+(?=[A-Z])", paragraph)[0]


def index() -> str:
    lines: list[str] = []
    for chapter in chapters():
        lines += [
            f"### {chapter.number}. {chapter.title}",
            "",
            chapter.claim,
            "",
            "| Claim | Test |",
            "| --- | --- |",
            *(
                f"| {proof.claim} | [{proof.test}]"
                f"({chapter.path.name}#L{proof.line}) |"
                for proof in chapter.proofs
            ),
            "",
        ]
    return "\n".join(lines)


def with_index(readme: str) -> str:
    """Return `readme` with the text between the marks replaced."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{index()}\n{END}{after}"


if __name__ == "__main__":
    README.write_text(with_index(README.read_text()))
