"""Which plugins are there? Read from metadata; no plugin is imported.

an entry point in the group `plugin_system.plugins`, MODULE:OBJECT
a file NAME.toml in a plugins folder:

    argv = ["./greeter"]           # relative to the file's folder;
                                   # "python" is the host's own
    [limits]                       # all optional
    memory_bytes = 500_000_000
    cpu_seconds = 600              # of one process's whole life
    open_files = 64
    [env]                          # added to the allow-list
    GREETING = "Hello"
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

GROUP: Final = "plugin_system.plugins"
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
LIMITS: Final = {
    "memory_bytes": "RLIMIT_AS",
    "cpu_seconds": "RLIMIT_CPU",
    "open_files": "RLIMIT_NOFILE",
}


class BadRegistration(ValueError):
    """A registration that cannot be used; the sentence says where and why."""


@dataclass(frozen=True)
class Registration:
    """One plugin and how to start it: by `target` or by `argv`.

    `target` names a `Plugin` object, MODULE:OBJECT, that a Python process
    imports and serves. `limits` is by the names of getrlimit(2).
    """

    name: str
    target: str = ""
    argv: tuple[str, ...] = ()
    folder: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    start_timeout: float = 10.0  # seconds from the start to PluginReady
    source: str = "the host's code"

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise BadRegistration(
                f"{self.source}: {self.name!r} cannot name a plugin: use up "
                "to 32 of a-z, 0-9, - and _"
            )
        if bool(self.target) == bool(self.argv):
            raise BadRegistration(
                f"{self.source}: {self.name} needs a target or an argv"
            )
        texts = (*self.argv, *self.env, *self.env.values())
        if any("\0" in each for each in texts) or "=" in "".join(self.env):
            raise BadRegistration(
                f"{self.source}: argv and env may not contain NUL, nor the "
                "name of a variable ="
            )


def samples() -> list[Registration]:
    """Return the plugins of this package, which need no installation."""
    return [
        Registration(
            name,
            target=f"plugin_system.samples.{name}:plugin",
            source="this package",
        )
        for name in ("text", "image", "chaos")
    ]


def discover(
    folders: Iterable[Path] = (),
) -> tuple[dict[str, Registration], list[str]]:
    """Return all registrations by name, and a sentence for each bad one.

    Of two with one name the first counts: samples, entry points, folders.
    """
    found = {sample.name: sample for sample in samples()}
    targets = {sample.target for sample in samples()}
    problems: list[str] = []

    def add(registration: Registration) -> None:
        first = found.setdefault(registration.name, registration)
        if first is not registration:
            problems.append(
                f"{registration.source}: the name {registration.name} is "
                f"taken by {first.source}; rename one of the two"
            )

    for entry in entry_points(group=GROUP):
        distribution = entry.dist.name if entry.dist else "unknown"
        try:
            if entry.value not in targets:
                add(
                    Registration(
                        entry.name,
                        target=entry.value,
                        source=f"entry point of {distribution}",
                    )
                )
        except BadRegistration as error:
            problems.append(str(error))
    for folder in folders:
        for path in sorted(folder.glob("*.toml")):
            try:
                add(read(path))
            except BadRegistration as error:
                problems.append(str(error))
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
    argv = _take(table, path, "argv", list)
    limits = _take(table, path, "limits", dict)
    env = _take(table, path, "env", dict)
    start_timeout = table.pop("start_timeout", 10.0)
    unknown = [*table, *(name for name in limits if name not in LIMITS)]
    if unknown:
        raise BadRegistration(f"{path}: nobody knows {', '.join(unknown)}")
    if (
        not all(type(text) is str for text in (*argv, *env.values()))
        or not all(_is_number(each, 1) for each in limits.values())
        or not _is_number(start_timeout, 0.001)
    ):
        raise BadRegistration(
            f"{path}: argv and env hold strings; limits (at least 1) and "
            "start_timeout are numbers above 0 and below 2**63"
        )
    return Registration(
        path.stem,
        argv=tuple(argv),
        folder=path.parent.absolute(),
        env=env,
        limits={LIMITS[name]: int(value) for name, value in limits.items()},
        start_timeout=float(start_timeout),
        source=str(path),
    )


def _is_number(value: Any, least: float) -> bool:
    return type(value) in (int, float) and least <= value < 2**63


def _take(table: dict[str, Any], path: Path, name: str, kind: Any) -> Any:
    value = table.pop(name, kind())
    if type(value) is not kind:
        raise BadRegistration(f"{path}: {name} must be a {kind.__name__}")
    return value
