"""The three demos in the talk's order, each in a process of its own.

A demo decides by its exit code whether it went well; what it prints goes
straight to the terminal, so that colour and width are its own business.
"""

import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass

# A demo takes 5 to 15 s. One that is not done by then is stuck.
LIMIT_S = 120.0
GRACE_S = 5.0


@dataclass(frozen=True)
class Demo:
    """One example's demo: its package and what the room is about to see."""

    package: str
    pattern: str
    watch: str

    @property
    def command(self) -> str:
        return f"python -m {self.package} demo"


DEMOS = (
    Demo(
        "pingpong",
        "REQ/REP over tcp",
        "Three clients ask, the server is killed, and no answer is lost.",
    ),
    Demo(
        "image_pipeline",
        "PUSH/PULL over tcp, then inproc",
        "Workers share 48 photographs, one is killed, every image is made.",
    ),
    Demo(
        "plugin_system",
        "REQ/REP over ipc",
        "Plugins crash, hang and lie, and their host answers each time.",
    ),
)


@dataclass(frozen=True)
class Played:
    """How a demo ended; `exit_code` is None where it had to be stopped."""

    demo: Demo
    exit_code: int | None
    seconds: float

    @property
    def well(self) -> bool:
        return self.exit_code == 0

    @property
    def verdict(self) -> str:
        if self.exit_code is None:
            return f"stopped: not done after {self.seconds:.0f} s"
        if self.exit_code < 0:
            return f"killed by {signal.Signals(-self.exit_code).name}"
        return "all well" if self.well else f"failed, exit {self.exit_code}"


def play(demo: Demo, limit: float = LIMIT_S) -> Played:
    """Run one demo to its end, for at most `limit` seconds.

    Ctrl-C reaches the demo by way of the terminal; this waits for it to
    finish its clean-up and passes KeyboardInterrupt on.
    """
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", demo.package, "demo"])
    code: int | None = None
    try:
        with suppress(subprocess.TimeoutExpired):
            code = process.wait(limit)
    except KeyboardInterrupt:
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
        raise
    finally:
        end(process)
    return Played(demo, code, time.monotonic() - began)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Leave no process behind: ask, then insist."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(GRACE_S)


def headline(demo: Demo) -> str:
    """Two lines that tell the room what comes next."""
    rule = "=" * (74 - len(demo.command) - len(demo.pattern))
    return f"\n$ {demo.command}  {rule} {demo.pattern}\n  {demo.watch}\n"


def summary(played: list[Played]) -> str:
    """Say how each of them ended."""
    rows = [
        f"  {each.demo.package:<16}{each.seconds:5.1f} s  {each.verdict}"
        for each in played
    ]
    total = sum(each.seconds for each in played)
    well = "all well" if all(e.well for e in played) else "NOT all well"
    return "\n".join(["", *rows, f"  {'together':<16}{total:5.1f} s  {well}"])
