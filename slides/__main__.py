"""python -m slides: the deck, and what plays or measures all examples."""

import signal
import sys
import tempfile
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click

from slides import DECK, HERE, TALK_S, DeckError
from slides.bench import PACKAGES

INTERRUPTED, TERMINATED = 130, 143  # what a shell reports for the signals


@contextmanager
def _explained(doing: str) -> Iterator[None]:
    """Turn what the deck or the system refuses into a sentence, exit 1.

    Ctrl-C ends with 130.
    """
    try:
        yield
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        raise  # click ends quietly when nobody reads on
    except OSError as error:
        where = error.filename2 or error.filename
        why = f"{where}: {error.strerror}" if where else error.strerror
        raise click.ClickException(f"Cannot {doing}: {why}.") from error
    except DeckError as error:
        raise click.ClickException(str(error)) from error


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """The deck of the talk, built offline from Markdown and tested code."""
    # Unwinds, so that no demo and no folder outlives what made it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))


@main.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/slides"),
    show_default=True,
    help="Folder to write.",
)
def build(out: Path) -> None:
    """Write one folder that works from file:// with no network."""
    from slides.address import MISSING, look_up
    from slides.site import build as write

    with _explained(f"write {out}"):
        address = look_up()
        write(out, address=address)
    if not address:
        click.echo(MISSING, err=True)
    click.echo(f"Open {(out / 'index.html').resolve().as_uri()}")


@main.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8000,
    show_default=True,
    help="Where to listen; 0 takes any that is free.",
)
@click.option("--open", "show", is_flag=True, help="Open a browser on it.")
def serve(port: int, show: bool) -> None:
    """Show the deck on loopback; it reloads when a source changes."""
    from slides.serve import Live, server

    with _explained("serve"), tempfile.TemporaryDirectory() as out:
        try:
            http = server(Live(Path(out), click.echo), port)
        except OSError as error:
            raise click.ClickException(
                f"Cannot listen on port {port}: {error}. Try --port 0."
            ) from error
        address = f"http://127.0.0.1:{http.server_port}/"
        click.echo(f"Serving {address} (Ctrl-C ends)")
        if show:
            webbrowser.open(address)
        with http:
            try:
                http.serve_forever()
            except KeyboardInterrupt:
                click.echo("")


@main.command()
@click.argument(
    "pdf",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("build/slides.pdf"),
)
@click.option(
    "--handout", is_flag=True, help="Each slide with what is said below it."
)
def pdf(pdf: Path, handout: bool) -> None:
    """Print the deck into the file PDF, if Chromium is there."""
    from slides.paper import print_to
    from slides.site import build as write

    with _explained(f"write {pdf}"), tempfile.TemporaryDirectory() as out:
        write(Path(out))
        page = "handout.html" if handout else "print.html"
        print_to(pdf.resolve(), Path(out) / page)
    click.echo(f"Wrote {pdf}")


@main.command()
def check() -> None:
    """Check that claims have tests, quotes their code, and slides a time."""
    from slides.check import faults
    from slides.deck import read

    with _explained("check"):
        found = faults()
        slides = read(DECK)
    for fault in found:
        click.echo(fault, err=True)
    total = sum(slide.seconds for slide in slides)
    claims = sum(len(slide.claims) for slide in slides)
    click.echo(
        f"{len(slides)} slides, {claims} claims, {len(found)} faults, "
        f"{total // 60}:{total % 60:02} of {TALK_S // 60}:00 minutes"
    )
    raise SystemExit(1 if found else 0)


@main.command()
@click.argument("names", nargs=-1)
def record(names: tuple[str, ...]) -> None:
    """Run the commands of the recordings again and keep what they print.

    NAMES are those of files in slides/recordings and of live shows, all of
    them if left out.
    """
    from slides.live.recorder import record as play
    from slides.live.shows import COMMANDS
    from slides.live.stage import TRACES
    from slides.terminal import record as run

    folder = HERE / "recordings"
    paths = {path.stem: path for path in sorted(folder.glob("*.txt"))}
    paths |= {name: TRACES / f"{name}.json" for name in COMMANDS}
    for name in names or paths:
        with _explained(f"record {name}"):
            path = paths.get(name, folder / f"{name}.txt")
            made = play(path) if name in COMMANDS else run(path)
            path.write_text(made, encoding="utf-8")
        click.echo(f"recorded {name}")


@main.command()
def chart() -> None:
    """Draw the bars of slides/charts from slides/data/bench.json."""
    from slides.numbers import draw

    with _explained("draw"):
        for name in draw():
            click.echo(f"drew {name}")


@main.command()
def demo() -> None:
    """Play the demos of the three examples, in the talk's order."""
    from slides.terminal import DEMOS, headline, play, summary

    played = []
    try:
        for each in DEMOS:
            click.echo(headline(each))
            played.append(play(each))
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    click.echo(summary(played))
    raise SystemExit(0 if all(each.well for each in played) else 1)


@main.command()
def rehearse() -> None:
    """Type every command of the deck, in order, and see that it works."""
    from slides.deck import read
    from slides.rehearse import rehearse as type_all

    failed = 0
    with _explained("rehearse"):
        for done in type_all(read(DECK)):
            click.echo(str(done))
            failed += bool(done.fault)
    click.echo(f"{failed} failed" if failed else "all well")
    raise SystemExit(1 if failed else 0)


@main.command()
@click.argument("package", type=click.Choice(PACKAGES), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--keep", is_flag=True, help="Put it into deck and README.")
def bench(package: str | None, as_json: bool, keep: bool) -> None:
    """Measure a package beside its alternatives, or all three.

    It takes a few minutes and wants a machine that is quiet.
    """
    import json

    from rich.console import Console

    from slides.bench import measure
    from slides.numbers import draw
    from slides.numbers import keep as write

    # As Ctrl-C does, it ends all that was started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console, found = Console(), {}
    with _explained("measure"):
        for name in [package] if package else PACKAGES:
            result = measure(name, partial(click.echo, err=True))
            found[name] = result.as_dict()
            if not as_json:
                console.print(f"\n{name}", *result.tables(), sep="\n")
        if as_json:
            click.echo(json.dumps(found))
    if keep:
        with _explained("keep what was measured"):
            write(found)
            draw()


if __name__ == "__main__":
    main(prog_name="python -m slides")
