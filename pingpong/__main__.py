"""The command line; a command imports what is heavy, so --help is quick."""

import signal
import sys

if __name__ == "__main__":  # Ctrl-C while this loads ends it without a word
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from json import dumps
from math import isnan
from typing import Any

import click

from pingpong import __version__

ENDPOINT = "tcp://127.0.0.1:5555"
SIZE = click.IntRange(0, 1024 * 1024 - 64)  # the server's limit, less the id
Decorator = Callable[..., Any]
INTERRUPTED = 130  # what a shell reports for Ctrl-C


class Seconds(click.FloatRange):
    """Seconds; NaN is in no range, yet passes a FloatRange."""

    name = "seconds"

    def convert(self, value: Any, *where: Any) -> float:
        seconds = float(super().convert(value, *where))
        if isnan(seconds):
            self.fail(f"{value} is no number of seconds.", *where)
        return seconds


SECONDS = Seconds(0, 86_400)
TRY = Seconds(0.001, 86_400)


def option(names: str, default: object, kind: Any, text: str) -> Decorator:
    also: Any = {"default": default, "type": kind, "show_default": True}
    return click.option(*names.split(), help=text, **also)


@contextmanager
def sentences(doing: str) -> Iterator[None]:
    """Turn errors into sentences: exit 2 for wrong usage, else 1."""
    try:
        import zmq  # in here: it takes a while, and Ctrl-C may come

        from pingpong.support.endpoint import Unfit

        yield
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        sys.exit(INTERRUPTED)
    except Unfit as error:
        raise click.UsageError(f"{error}.") from None
    except BrokenPipeError:
        raise  # click ends quietly when nobody reads on
    except (zmq.ZMQError, OSError, RuntimeError) as error:
        if isinstance(error, OSError):  # a full disk? Python would retry
            sys.stdout = None
        number = getattr(error, "errno", None)  # no thread is left: none
        why = zmq.strerror(number) if number else str(error)
        raise click.ClickException(f"Cannot {doing}: {why}.") from None


@click.version_option(__version__)
@click.group(
    context_settings={
        "auto_envvar_prefix": "PINGPONG",
        "help_option_names": ["-h", "--help"],
    }
)
def main() -> None:
    """Ping-pong: REQ/REP that survives the other side being killed.

    Each option may also come from the environment: PINGPONG_SERVER_BIND,
    PINGPONG_CLIENT_COUNT, PINGPONG_CLIENT_JSON=1 and so on.
    """


@main.command()
@option("--bind", ENDPOINT, click.STRING, "Endpoint, tcp or ipc.")
@option("--workers", 1, click.IntRange(1, 64), "Threads that answer.")
@option("--work", 0.0, SECONDS, "Pretend to work, in seconds.")
@click.option("--insecure", is_flag=True, help="Bind beyond loopback.")
def server(bind: str, workers: int, work: float, insecure: bool) -> None:
    """Answer pings until Ctrl-C or SIGTERM."""
    with sentences(f"serve on {bind}"), ExitStack() as stack:
        import zmq

        from pingpong.broker import serve_with_workers
        from pingpong.server import serve
        from pingpong.support.bind import bound, raise_file_limit
        from pingpong.support.endpoint import check_bind, check_exposure
        from pingpong.support.monitor import watched
        from pingpong.support.stop import Stop

        check_bind(bind)
        if not insecure:
            check_exposure(bind)
        raise_file_limit()
        stop = stack.enter_context(Stop())
        stack.enter_context(stop.on_signals())
        context = stack.enter_context(zmq.Context())
        kind = zmq.REP if workers == 1 else zmq.ROUTER
        front = stack.enter_context(bound(context, kind, bind))
        with watched(front) as seen:
            click.echo(f"Listening on {front.get_string(zmq.LAST_ENDPOINT)}")
            if workers == 1:
                tally = serve(front, stop, work)
            else:
                tally = serve_with_workers(front, stop, workers, work)
        click.echo(f"{tally}\n{seen}")


@main.command()
@option("--connect", ENDPOINT, click.STRING, "Endpoint of the server.")
@option("-c --count", 10, click.IntRange(0), "Pings to send; 0: no end.")
@option("-i --interval", 1.0, SECONDS, "Seconds between two pings.")
@option("-W --timeout", 1.0, TRY, "Seconds to wait before asking again.")
@option("-w --deadline", 0.0, SECONDS, "Seconds until the end; 0: none.")
@option("--retries", 5, click.IntRange(0, 10**6), "New tries of a ping.")
@option("-s --size", 56, SIZE, "Bytes of payload.")
@option("--clients", 1, click.IntRange(1, 100), "Clients at once.")
@click.option("-q", "--quiet", is_flag=True, help="Print only the summary.")
@click.option("--json", is_flag=True, help="Print one summary, in JSON.")
@click.option("--events", default="", help="Endpoint to publish news to.")
def client(
    connect: str,
    deadline: float,
    quiet: bool,
    json: bool,
    events: str,
    **how: Any,
) -> None:
    """Ping a server; exit 1 if an answer was lost, 130 if interrupted.

    Ctrl-\\ shows the statistics so far.
    """
    with sentences(f"ping {connect}"), ExitStack() as stack:
        import zmq

        from pingpong.support.endpoint import check_connect, needs_ipv6
        from pingpong.support.events import Events
        from pingpong.support.pings import News, Plan, fleet
        from pingpong.support.stats import Report
        from pingpong.support.stop import Stop, on_quit

        report = Report()
        plan = Plan(**how)

        def say(news: News) -> None:
            number, what = news
            if isinstance(what, int):
                text = f"no answer in {plan.timeout:g} s, try {what}"
                published.tell("pingpong.retry", client=number, attempt=what)
            else:
                text = str(what)
                topic = "pingpong.lost" if what.lost else "pingpong.pong"
                published.tell(topic, client=number, seq=what.seq)
            if plan.clients > 1:
                text = f"client {number}: {text}"
            if not (quiet or json):
                click.echo(text)

        check_connect(connect)
        if events:
            check_connect(events)
        published = stack.enter_context(closing(Events(events)))
        stop = stack.enter_context(Stop())
        stack.enter_context(stop.on_signals(deadline))
        stack.enter_context(on_quit(lambda: click.echo(report, err=True)))
        context = stack.enter_context(zmq.Context())
        context.ipv6 = needs_ipv6(connect)
        if not json:  # ping -q prints this line, too
            click.echo(f"PING {connect}: {plan.size} bytes of payload")
        fleet(context, connect, stop, report, say, plan)
        if json:
            click.echo(dumps({"endpoint": connect, **report.as_dict()}))
        else:
            click.echo(f"\n--- {connect} ping statistics ---\n{report}")
        if report.lost or not (plan.count or report.received):
            sys.exit(1)
        if report.received < plan.count * plan.clients:
            sys.exit(INTERRUPTED if stop.interrupted else 1)


@main.command()
def demo() -> None:
    """Watch a server being killed, and nothing lost (about 5 seconds)."""
    with sentences("play the demo"), ExitStack() as stack:
        from pingpong.demo import PATIENCE, PLAN, run
        from pingpong.support.stop import Stop

        stop = stack.enter_context(Stop())
        stack.enter_context(stop.on_signals(PATIENCE))
        title = partial(click.secho, bold=True, fg="cyan")
        report = run(stop, title, lambda text: click.echo(f"   {text}"))
        complete = report.received == PLAN.count * PLAN.clients
        if not (complete or report.lost or stop.interrupted):
            raise TimeoutError(f"not done in {PATIENCE:g} s")
        click.secho(str(report), bold=True, fg="green" if complete else "red")
        if not complete:
            sys.exit(1 if report.lost else INTERRUPTED)


if __name__ == "__main__":
    main(prog_name="python -m pingpong")
