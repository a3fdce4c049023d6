"""python -m plugin_system: list, call, check, demo.

Exit codes: 0 all went well, 1 the method raised an exception or a check
failed, 2 the command line was wrong, 3 the plugin crashed, 4 timed out,
5 broke the protocol, 6 is unavailable, 7 is incompatible, 130 interrupted.
"""

import logging
import signal
import sys
from base64 import b64encode
from contextlib import suppress
from json import dumps, loads
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from plugin_system import __version__
from plugin_system.errors import CallError, PluginError, printable

if TYPE_CHECKING:
    from plugin_system.check import Row
    from plugin_system.registry import Registration

folders = click.option(
    "--plugins",
    metavar="FOLDER",
    envvar="PLUGIN_FOLDERS",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder of NAME.toml registrations; may be repeated.",
)
as_json = click.option("--json", is_flag=True, help="Print JSON.")


class Sentences(click.Group):
    """Turns what may go wrong anywhere into a sentence and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            sys.exit(130)
        except CallError as error:
            _fail(str(error), error.status)

    def main(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().main(*arguments, **options)
        except (OSError, RuntimeError, ValueError) as error:
            # What could not be written is not to be tried again at the end.
            sys.stdout = None
            _fail(str(error), 1)
        finally:
            # What comes while Python ends must not show a traceback.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


@click.group(
    cls=Sentences,
    epilog=(__doc__ or "").partition("\n\n")[2],
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "PLUGIN_SYSTEM",
    },
)
@click.version_option(__version__, prog_name="plugin_system")
def main() -> None:
    """Call plugins that are processes, and outlive them."""
    if sys.stdout is None:
        raise OSError("stdout is closed, so there is nowhere to print to")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Our parent may ignore it, and that is inherited.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(plugin)s: %(message)s"))

    logger = logging.getLogger("plugin_system.plugin")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


@main.command("list")
@folders
def list_(plugins: tuple[Path, ...]) -> None:
    """Start every plugin and show what it is."""
    from textwrap import wrap

    from plugin_system.executor import Executor

    logging.getLogger("plugin_system.plugin").setLevel(logging.ERROR)
    found, problems = _discover(plugins)
    with Executor(found.values()) as executor:
        errors = executor.start()
        click.echo(f"{'NAME':12} {'VERSION':8} {'STATE':12} METHODS")
        for name, registration in found.items():
            status = executor.status(name)
            first, *others = wrap(" ".join(status.methods) or "-", 43)
            version = status.version or "-"
            _say(f"{name:12} {version:8} {status.state:12} {first}")
            _say(*(f"{'':34} {more}" for more in others))
            _say(f"{'':12} from {registration.source}")
            lines = wrap(str(errors[name] or ""), 67)
            _say(*(f"{'':12} {line}" for line in lines))
    sys.exit(1 if problems or any(errors.values()) else 0)


# A number below zero is an argument, and not an option.
@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("plugin")
@click.argument("method")
@click.argument("arguments", metavar="[ARG ...]", nargs=-1)
@click.option(
    "--timeout",
    default=5.0,
    show_default=True,
    metavar="S",
    type=click.FloatRange(0, 1e6, min_open=True),
    help="Seconds for everything: start, call and reply.",
)
@as_json
@folders
def call(
    plugin: str,
    method: str,
    arguments: tuple[str, ...],
    timeout: float,
    json: bool,
    plugins: tuple[Path, ...],
) -> None:
    """Call METHOD of PLUGIN and print the result.

    ARG is JSON, or @FILE for the bytes of a file. A result of bytes is
    written as it is, so redirect it to a file.
    """
    from plugin_system.executor import Executor

    if timeout != timeout:  # NaN passes every range
        raise click.BadParameter("NaN is no number of seconds")
    values = [_argument(text) for text in arguments]
    found = _discover(plugins)[0]
    try:
        with Executor(found.values()) as executor:
            result = executor.call(plugin, method, *values, timeout=timeout)
    except CallError as error:
        if json:
            kind = type(error).__name__
            _print_json({"error": {"kind": kind, **vars(error)}})
            sys.exit(error.status)
        with suppress(OSError):
            if isinstance(error, PluginError):
                _say(error.traceback, err=True)
            elif error.maybe_done:
                click.echo("The work may have been done.", err=True)
        raise
    if json:
        _print_json({"result": result})
    elif isinstance(result, bytes):
        if sys.stdout.isatty():
            why = f"the result is {len(result)} bytes, not for a terminal"
            raise click.ClickException(f"{why}; redirect it: > FILE")
        click.echo(result, nl=False)
    elif isinstance(result, str):
        _say(result)
    else:
        _print_json(result)


@main.command()
@click.argument("plugin", default="chaos")
@as_json
@folders
def check(plugin: str, json: bool, plugins: tuple[Path, ...]) -> None:
    """Hurt PLUGIN in every way, and show what the host sees.

    Without PLUGIN it is the chaos plugin, which breaks itself in more ways.
    """
    from plugin_system.check import check as run

    logging.getLogger("plugin_system.plugin").setLevel(logging.CRITICAL)
    found, _ = _discover(plugins)
    if plugin not in found:
        names = ", ".join(found)
        raise click.UsageError(f"no such plugin: {plugin}; there are {names}")
    rows: list[Row] = []
    for row in run(found[plugin], plugin == "chaos"):
        if not json:
            if not rows or row.where != rows[-1].where:
                click.echo(row.heading())  # the first has scrolled away
            click.echo(row.line())
        rows.append(row)
    bad = [row for row in rows if not row.good]
    if json:
        _print_json([vars(row) for row in rows])
    else:
        good = f"{len(rows) - len(bad)} as expected"
        note = "RECOVERED: until the next good reply."
        click.echo(f"{len(rows)} faults, {good}. {note}")
    sys.exit(1 if bad else 0)


@main.command()
@click.option(
    "--events", default="", metavar="ENDPOINT", help="Publish news to it."
)
def demo(events: str) -> None:
    """Ten seconds: kill, hang and lie, and see the host go on."""
    from plugin_system.demo import run

    logging.getLogger("plugin_system.plugin").setLevel(logging.CRITICAL)
    for line in run(events=events):
        title = not line.startswith(" ")
        click.secho(line, bold=title, fg="cyan" if title else None)


def _discover(
    folders: tuple[Path, ...],
) -> tuple[dict[str, "Registration"], list[str]]:
    from plugin_system.registry import discover, samples

    found, problems = discover(folders, samples())
    for problem in problems:
        click.echo(f"Not used: {problem}", err=True)
    return found, problems


def _argument(text: str) -> Any:
    if text.startswith("@"):
        return _bytes_of(text)
    try:
        return loads(text)
    except (ValueError, RecursionError):
        if text.startswith("-"):
            raise click.NoSuchOption(text) from None
        quoted = dumps(text, ensure_ascii=False)
        hint = f"if it is text, quote it twice: '{quoted}'"
        raise click.UsageError(f"{text} is no JSON; {hint}") from None


def _bytes_of(argument: str) -> bytes:
    from plugin_system.values import MAX_MESSAGE_BYTES

    try:
        with Path(argument[1:]).open("rb") as file:
            data = file.read(MAX_MESSAGE_BYTES + 1)  # /dev/zero has no end
    except OSError as error:
        raise click.UsageError(f"{argument}: {error.strerror}") from None
    if len(data) > MAX_MESSAGE_BYTES:
        most = f"{MAX_MESSAGE_BYTES} bytes, which is what a message holds"
        raise click.UsageError(f"{argument} has more than {most}")
    return data


def _fail(sentence: str, code: int) -> NoReturn:
    from shutil import get_terminal_size
    from textwrap import wrap

    lines = f"Error: {sentence}".splitlines()
    if sys.stderr and sys.stderr.isatty():
        # A terminal would break it as well, but in the middle of a word.
        columns = get_terminal_size().columns
        lines = [short for line in lines for short in wrap(line, columns)]
    with suppress(OSError):  # the code is told all the same
        click.echo("\n".join(lines), err=True)
    sys.exit(code)


def _say(*lines: str, err: bool = False) -> None:
    """Print what a plugin may have said: to a terminal, without escapes."""
    shown = (sys.stderr if err else sys.stdout).isatty()
    for line in lines:
        click.echo(printable(line) if shown else line, err=err)


def _print_json(value: Any) -> None:
    def base64(each: bytes) -> dict[str, str]:
        return {"base64": b64encode(each).decode()}

    _say(dumps(value, indent=2, ensure_ascii=False, default=base64))


if __name__ == "__main__":
    main(prog_name="python -m plugin_system")
