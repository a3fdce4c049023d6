"""Which plugins are there? Read from metadata; no plugin is imported.

Entry points in the group `plugin_system.plugins`, MODULE:OBJECT, and files
NAME.toml in a plugins folder; README.md has all that may stand in one.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

GROUP: Final = "plugin_system.plugins"
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
UNITS: Final = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
LIMITS: Final = {
    "cpu_seconds": "RLIMIT_CPU",
    "open_files": "RLIMIT_NOFILE",
}
KINDS: Final[dict[str, type]] = {  # of what a TOML file may say
    **dict.fromkeys(("argv", "pass_env", "may_read"), list),
    **dict.fromkeys(("env", "limits"), dict),
    "sandbox": bool,
    "target": str,
}


class BadRegistration(ValueError):
    """A registration that cannot be used; the sentence says where and why."""


@dataclass(frozen=True)
class Registration:
    """One plugin and how to start it: by `target` or by `argv`.

    `target` names a `Plugin` object, MODULE:OBJECT, that a Python process
    imports and serves. `limits` is by the names of getrlimit(2). `env` is
    set, and what `pass_env` names is passed on from the host's environment.
    In a `sandbox` it reads only the system's files, its own, and `may_read`.
    """

    name: str
    target: str = ""
    argv: tuple[str, ...] = ()
    folder: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    start_timeout: float = 10.0  # seconds from the start to PluginReady
    leave_timeout: float = 0.5  # seconds to leave, before it is killed
    pass_env: tuple[str, ...] = ()
    sandbox: bool = False
    may_read: tuple[str, ...] = ()  # in a sandbox; from `folder` on
    source: str = "the host's code"

    def __post_init__(self) -> None:
        wrong = ""
        if not NAME.fullmatch(self.name):
            wrong = f"{self.name!r} cannot name a plugin: use up to 32 of "
            wrong += "a-z, 0-9, - and _"
        elif bool(self.target) == bool(self.argv):
            wrong = f"{self.name} needs a target or an argv"
        if self.may_read and not self.sandbox:
            wrong = f"{self.name} has may_read, which needs sandbox = true"
        texts = (*self.argv, *self.env, *self.env.values(), *self.may_read)
        if any("\0" in each for each in texts) or "=" in "".join(self.env):
            wrong = "argv, env and may_read may not contain NUL, nor "
            wrong += "the name of a variable ="
        if self.folder and not Path(self.folder).is_dir():
            wrong = f"{self.name}: there is no folder {self.folder}"
        if wrong:
            raise BadRegistration(f"{self.source}: {wrong}")


def samples() -> list[Registration]:
    """Return the plugins of this package, which need no installation."""
    home = "plugin_system.samples"
    return [
        Registration(name, f"{home}.{name}:plugin", source="this package")
        for name in ("text", "image", "chaos")
    ]


def discover(
    folders: Iterable[Path | str] = (),
    known: Iterable[Registration] = (),
) -> tuple[dict[str, Registration], list[str]]:
    """Return all registrations by name, and a sentence for each bad one.

    Of two with one name the first counts: `known`, entry points, folders.
    """
    found = {each.name: each for each in known}
    problems: list[str] = []

    def add(make: Callable[[], Registration]) -> None:
        try:
            made = make()
        except BadRegistration as error:
            problems.append(str(error))
            return
        first = found.setdefault(made.name, made)
        if (first.target, first.argv) != (made.target, made.argv):
            why = f"the name {made.name} is taken by {first.source}"
            problems.append(f"{made.source}: {why}; rename one of the two")

    for entry in entry_points(group=GROUP):
        origin = f"entry point of {entry.dist.name if entry.dist else '?'}"
        add(partial(Registration, entry.name, entry.value, source=origin))
    for folder in map(Path, folders):
        if not folder.is_dir():
            problems.append(f"{folder}: there is no such folder")
        for path in sorted(folder.glob("*.toml")):
            add(partial(read, path))
    return found, problems


def read(path: Path) -> Registration:
    """Return the registration in a TOML file.

    Raises BadRegistration for a file that cannot be read or used.
    """
    if path.exists() and not path.is_file():
        # Not to be opened: a named pipe would be waited for without end.
        raise BadRegistration(f"{path}: no regular file")
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise BadRegistration(f"{path}: {error}") from None
    given = {name: _take(table, path, name) for name in KINDS}
    memory = _bytes(table.pop("memory", None), path)
    start_timeout = table.pop("start_timeout", Registration.start_timeout)
    leave_timeout = table.pop("leave_timeout", Registration.leave_timeout)
    limits = given.pop("limits")
    unknown = [*table, *(name for name in limits if name not in LIMITS)]
    if unknown:
        raise BadRegistration(f"{path}: nobody knows {', '.join(unknown)}")
    texts = [*given["argv"], *given["pass_env"], *given["may_read"]]
    texts += given["env"].values()
    if (
        not all(type(each) is str for each in texts)
        or not all(_is_number(each, 1) for each in limits.values())
        or not _is_number(start_timeout, 0.001)
        or not _is_number(leave_timeout, 0)
    ):
        why = "argv, pass_env, may_read and env hold strings; limits "
        why += "(at least 1) and timeouts are numbers above 0 and below 2**63"
        raise BadRegistration(f"{path}: {why}")
    return Registration(
        path.stem,
        folder=path.parent.absolute(),
        limits=memory | {LIMITS[k]: int(n) for k, n in limits.items()},
        start_timeout=float(start_timeout),
        leave_timeout=float(leave_timeout),
        source=str(path),
        **given,
    )


def _is_number(value: Any, least: float) -> bool:
    return type(value) in (int, float) and least <= value < 2**63


def _bytes(value: Any, path: Path) -> dict[str, int]:
    """Return the limit of memory that 1000000 or "512 MiB" means."""
    if value is None:
        return {}
    number, _, unit = str(value).partition(" ")
    if type(value) in (int, str) and re.fullmatch("[1-9][0-9]{0,15}", number):
        size = int(number) * UNITS.get(unit, 0 if unit else 1)
        if 0 < size < 2**63:
            return {"RLIMIT_AS": size}
    why = "memory is a number of bytes, or such as '512 MiB'"
    raise BadRegistration(f"{path}: {why}")


def _take(table: dict[str, Any], path: Path, name: str) -> Any:
    kind = KINDS[name]
    value = table.pop(name, kind())
    if type(value) is not kind:
        raise BadRegistration(f"{path}: {name} must be a {kind.__name__}")
    return tuple(value) if isinstance(value, list) else value
