"""Find the lines of a file that a slide quotes, by name and never by number.

`#serve` and `#Worker.run` are symbols of a Python file; `#Ping` a message of
a .proto file; `#main` a function of a C file; and in any file `#window` may
be the lines between two comments, `region window` and `endregion`. Several
names, `#plugin,count`, are quoted one below the other. Of a recording the
commands are quoted, and each line that holds a name with the lines indented
below it.
"""

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from slides import DeckError

COMMENT = r"\s*(#|//)"
MARK = rf"{COMMENT} (region \w|endregion)"

Block = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Definition = Block | ast.Assign | ast.AnnAssign


def quote(path: Path, name: str, part: str = "") -> list[str]:
    """Return the lines of `name` in `path`, dedented; all without a name.

    Of a Python function, the part `bare` is all but its docstring, and
    `body` what comes after that; `code` leaves comments out. Raises
    `DeckError` unless exactly one thing has that name.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DeckError(f"A slide quotes {path}: {error}.") from error
    if not name:
        return lines
    if path.suffix == ".txt":
        return _excerpt(lines, name.split(","))
    if "," in name:
        each = [quote(path, one, part) for one in name.split(",")]
        return "\n\n".join("\n".join(one) for one in each).splitlines()
    region = rf"{COMMENT} region {re.escape(name)}$"
    found = _between(lines, region, rf"{COMMENT} endregion")
    if path.suffix == ".py":
        found += _symbols(path, lines, name, part)
    elif path.suffix in (".proto", ".c"):
        kinds, function = r"(message|enum|service)", r"\w[\w *]*\b"
        begins = rf"{kinds} {name} \{{|{function}{name}\([^;]*$"
        found += _between(lines, begins, r"\}$")
    if len(found) != 1:
        raise DeckError(f"{path} has {len(found)} things named {name}.")
    left_out = COMMENT if part == "code" else MARK
    shown = [line for line in found[0] if not re.match(left_out, line)]
    return textwrap.dedent("\n".join(shown)).splitlines()


def line_of(path: Path, name: str) -> tuple[int, str]:
    """Return where the function `name` begins, and its first sentence."""
    nodes = _definitions(path, quote(path, ""), name)
    if len(nodes) != 1:
        raise DeckError(f"{path} has {len(nodes)} things named {name}.")
    [node] = nodes
    said = ast.get_docstring(node) if isinstance(node, Block) else None
    return node.lineno, (said or "").partition("\n")[0]


def _definitions(path: Path, lines: list[str], name: str) -> list[Definition]:
    try:
        tree = ast.parse("\n".join(lines))
    except SyntaxError as error:
        raise DeckError(
            f"{path}:{error.lineno or 1}: {error.msg}."
        ) from error
    return list(_named(tree.body, name))


def _named(body: list[ast.stmt], name: str) -> Iterator[Definition]:
    first, _, inner = name.partition(".")
    for node in body:
        if isinstance(node, Definition) and first in _names(node):
            if not inner:
                yield node
            elif isinstance(node, Block):
                yield from _named(node.body, inner)


def _names(node: Definition) -> list[str]:
    if isinstance(node, Block):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _symbols(
    path: Path, lines: list[str], name: str, part: str
) -> list[list[str]]:
    found = []
    for node in _definitions(path, lines, name):
        last = node.end_lineno
        if not isinstance(node, Block):
            found.append(lines[node.lineno - 1 : last])
            continue
        first = min(each.lineno for each in (node, *node.decorator_list))
        inner = node.body[0]
        head = lines[first - 1 : inner.lineno - 1]
        documented = ast.get_docstring(node) is not None
        code = inner.end_lineno if documented else inner.lineno - 1
        body = lines[code:last]
        whole = lines[first - 1 : last]
        found.append({"body": body, "bare": head + body}.get(part, whole))
    return found


def _excerpt(lines: list[str], names: list[str]) -> list[str]:
    shown = [line for line in lines if line.startswith("$ ")]
    for name in names:
        found = [i for i, line in enumerate(lines) if name in line]
        if len(found) != 1:
            raise DeckError(f"{lines[0]!r} printed {name!r} {len(found)}x.")
        shown += ["", lines[found[0]]]
        for line in lines[found[0] + 1 :]:
            if not line.startswith(" "):
                break
            shown.append(line)
    return shown


def _between(lines: list[str], begins: str, ends: str) -> list[list[str]]:
    """Return the lines from each that begins so to the next that ends so."""
    found = []
    for first, line in enumerate(lines):
        if re.match(begins, line):
            rest = enumerate(lines[first:], first + 1)
            last = next((n for n, each in rest if re.match(ends, each)), 0)
            found += [lines[first:last]] if last else []
    return found
