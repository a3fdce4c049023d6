"""Shared by the commands: their options, how they begin and how they end.

Imports here must be quick, as in `main`.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn, Self, TypeVar

import click

from image_pipeline.outcome import ExitCode, Incomplete, TargetError

if TYPE_CHECKING:
    from image_pipeline.imaging.recipe import Recipe
    from image_pipeline.storage.names import Folding
    from image_pipeline.storage.scan import Found
    from image_pipeline.storage.source import Files

MAKE = "image_pipeline.imaging.make:make"  # what a worker is given to do
MAX_COUNT = 2**63  # as many as fit on the wire
REPORT_BEGINS = b'{"source": "'  # as `cli.report` writes it
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
TARGET = click.Path(file_okay=False, path_type=Path)  # made if need be
F = TypeVar("F", bound=Callable[..., Any])


class Number(click.IntRange):
    """A whole number, with limits that a person can read."""

    def _describe_range(self) -> str:
        most = "2**63" if self.max == MAX_COUNT else self.max
        return f"{self.min} to {most}"


class Seconds(click.FloatRange):
    """Seconds within limits, and not `nan`, which is in every range."""

    def convert(self, value: Any, *where: Any) -> float:
        seconds: float = super().convert(value, *where)
        if seconds != seconds:
            self.fail(f"{value} is not a number of seconds.", *where)
        return seconds

    def _describe_range(self) -> str:
        return f"{self.min} to {self.max}"


SECONDS = Seconds(0.1, 86_400)  # up to a day


def show_version(context: click.Context, _: object, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version("beyond-http")
        except PackageNotFoundError:  # a folder that was copied alone
            number = "of a copy"
        click.echo(f"image_pipeline {number}")
        context.exit()


@contextmanager
def refusing(to: str) -> Iterator[None]:
    """Turn an OSError into wrong usage: we cannot do this."""
    try:
        yield
    except OSError as error:
        raise click.UsageError(f"cannot {to}: {error.strerror}") from None


def check_report(
    _context: click.Context, _option: click.Parameter, report: Path | None
) -> Path | None:
    """Refuse to overwrite a file that is not a report, whole or cut off."""
    # /dev/stdout is fine. Not `is_file`, which raises for a long name.
    if report and os.path.isfile(report):  # noqa: PTH113
        with refusing(f"write the report {report}"), report.open("rb") as old:
            head = old.read(len(REPORT_BEGINS))
        if not REPORT_BEGINS.startswith(head):
            raise click.UsageError(
                f"{report} is no report of an earlier run and would be lost: "
                "move it away, or choose another name"
            )
    return report


def flag(name: str, text: str) -> Callable[[F], F]:
    return click.option(name, is_flag=True, help=text)


def options(*several: Callable[[F], F]) -> Callable[[F], F]:
    """Apply several options at once, in the order of the help."""

    def apply(command: F) -> F:
        for option in reversed(several):
            command = option(command)
        return command

    return apply


recipe = options(
    click.option(
        "--size",
        multiple=True,
        default=["256"],
        metavar="N|WxH|Wx|xH",
        help="Box to fit into, in pixels; may be repeated.",
    ),
    click.option(
        "--format",
        type=click.Choice(["jpeg", "webp", "png", "avif"]),
        default="jpeg",
    ),
    click.option("--quality", type=Number(1, 100), default=80),
    flag("--fill", "Crop from the centre to the shape of the box."),
    flag("--strict", "Fail images that are damaged a bit."),
    click.option(
        "--timeout",
        type=SECONDS,
        default=60.0,
        metavar="S",
        help="Seconds that one image may take.",
    ),
    click.option(
        "--max-pixels",
        type=Number(1, MAX_COUNT),
        default=100_000_000,
        metavar="N",
        help="Fail images with more, before decoding them.",
    ),
    flag("--force", "Make even what is up to date."),
)
overwrite = flag(
    "--overwrite", "Replace also files in DST that earlier runs did not make."
)
secured = options(
    click.option(
        "--keys", type=FOLDER, help="Certificates that `keygen` made."
    ),
    flag("--insecure", "Bind beyond loopback without keys."),
)
listing = options(
    click.option(
        "--files-from",
        type=click.File("rb"),
        metavar="FILE|-",
        help="Take the names in this file, by line or NUL, relative to SRC.",
    ),
    click.option(
        "--exclude",
        multiple=True,
        metavar="GLOB",
        help="Leave out names, and what lies in folders, that match.",
    ),
    flag("--no-follow", "Skip links: they may lead out of SRC."),
    click.option(
        "--report",
        type=click.Path(dir_okay=False, path_type=Path),
        callback=check_report,
        metavar="FILE",
        help="Write a line of JSON for each file.",
    ),
    flag("--quiet", "Print only the end."),
)


def say(text: object, err: bool = False) -> None:
    """Print, unless the stream is closed: a batch goes on without it.

    The error must not come again when Python flushes the stream at its end.
    """
    try:
        click.echo(text, err=err)
    except OSError:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2 if err else 1)


def fail(sentence: object) -> NoReturn:
    """Print on stderr why nothing can be finished, and exit."""
    say(sentence, err=True)
    sys.exit(ExitCode.INCOMPLETE)


class Command(click.Command):
    """A command whose errors end in a sentence and an exit code."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except Exception as error:
            import zmq

            from image_pipeline.storage.scan import BadFolders
            from image_pipeline.transport.curve import BadKeys
            from image_pipeline.transport.endpoints import Exposed, Unusable
            from image_pipeline.transport.monitor import Refused

            match error:
                case BadFolders() | BadKeys() | Exposed():
                    raise click.UsageError(str(error), context) from None
                case Incomplete() | TargetError() | Unusable() | Refused():
                    fail(error)
                case zmq.ZMQError():
                    fail(f"cannot make a socket: {error.strerror}")
            raise


@dataclass(frozen=True)
class Options:
    """Which files a batch takes, and what it makes of them.

    `timeout` is in seconds; `dst` is None where the sink knows it.
    """

    src: Path
    recipe: "Recipe"
    timeout: float
    force: bool
    no_follow: bool
    exclude: tuple[str, ...]
    files_from: IO[bytes] | None
    dst: Path | None = None

    @classmethod
    def read(cls, **chosen: Any) -> Self:
        """Convert the values of click; raises UsageError for a bad recipe."""
        from image_pipeline.imaging.recipe import Box, Format, Recipe

        making = "quality", "strict", "fill", "max_pixels"
        try:
            recipe = Recipe(
                sizes=tuple(map(Box.parse, chosen.pop("size"))),
                format=Format(chosen.pop("format")),
                **{name: chosen.pop(name) for name in making},
            )
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        return cls(recipe=recipe, **chosen)

    def find(self, fold: "Folding") -> "tuple[Found, Files]":
        """Find the files.

        Raises BadFolders, and UsageError for a list that cannot be read.
        """
        from image_pipeline.storage import scan
        from image_pipeline.storage.source import Files

        src, names, follow = self.src, self.files_from, not self.no_follow
        scan.check_source(src)
        if names:
            with refusing(f"read {names.name}"):
                found = scan.listed(src, names.read(), self.dst, follow)
        else:
            found = scan.walk(src, self.dst, follow)
        scan.exclude(found, self.exclude)
        scan.end_clashes(src, found, self.recipe, fold)
        how = self.recipe, self.timeout, self.force, follow
        return found, Files(os.fsencode(src), found.names, *how)
