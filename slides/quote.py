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
from pathlib import Path

from slides import DeckError

MARK = re.compile(r"\s*(#|//) (region \w|endregion)")
COMMENT = re.compile(r"\s*(#|//)")

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
    found = _regions(lines, name)
    if path.suffix == ".py":
        found += _symbols(path, lines, name, part)
    elif path.suffix in (".proto", ".c"):
        found += _braced(lines, name)
    if len(found) != 1:
        raise DeckError(f"{path} has {len(found)} things named {name}.")
    left_out = COMMENT if part == "code" else MARK
    shown = [line for line in found[0] if not left_out.match(line)]
    return textwrap.dedent("\n".join(shown)).splitlines()


def line_of(path: Path, name: str) -> tuple[int, str]:
    """Return where the function `name` begins, and its first sentence."""
    source = "\n".join(quote(path, ""))
    nodes = _definitions(path, source, name)
    if len(nodes) != 1:
        raise DeckError(f"{path} has {len(nodes)} things named {name}.")
    [node] = nodes
    said = ast.get_docstring(node) if isinstance(node, Block) else None
    return node.lineno, (said or "").partition("\n")[0]


def _definitions(path: Path, source: str, name: str) -> list[Definition]:
    *outer, last = name.split(".")
    try:
        bodies: list[list[ast.stmt]] = [ast.parse(source).body]
    except SyntaxError as error:
        raise DeckError(
            f"{path}:{error.lineno or 1}: {error.msg}."
        ) from error
    for part in outer:
        bodies = [
            node.body
            for body in bodies
            for node in body
            if isinstance(node, Block) and node.name == part
        ]
    return [
        node
        for body in bodies
        for node in body
        if isinstance(node, Definition) and last in _names(node)
    ]


def _names(node: Definition) -> list[str]:
    if isinstance(node, Block):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _symbols(
    path: Path, lines: list[str], name: str, part: str
) -> list[list[str]]:
    found = []
    for node in _definitions(path, "\n".join(lines), name):
        first, last = node.lineno, node.end_lineno
        if not isinstance(node, Block):
            found.append(lines[first - 1 : last])
            continue
        if node.decorator_list:
            first = node.decorator_list[0].lineno
        documented = ast.get_docstring(node) is not None
        head = lines[first - 1 : node.body[0].lineno - 1]
        code = (
            node.body[0].end_lineno if documented else len(head) + first - 1
        )
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


def _braced(lines: list[str], name: str) -> list[list[str]]:
    begins = re.compile(
        rf"(message|enum|service) {name} \{{|\w[\w *]*\b{name}\([^;]*$"
    )
    found = []
    for number, line in enumerate(lines):
        if begins.match(line) and "}" in lines[number:]:
            end = lines.index("}", number)
            found.append(lines[number : end + 1])
    return found


def _regions(lines: list[str], name: str) -> list[list[str]]:
    begins = re.compile(rf"\s*(#|//) region {re.escape(name)}$")
    ends = re.compile(r"\s*(#|//) endregion")
    found = []
    for number, line in enumerate(lines):
        if begins.match(line):
            rest = lines[number + 1 :]
            length = next((i for i, x in enumerate(rest) if ends.match(x)), 0)
            found.append(rest[:length])
    return found
