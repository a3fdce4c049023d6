"""Ten seconds for a stage: three plugins, and everything goes wrong."""

import time
from collections.abc import Iterator
from io import BytesIO
from textwrap import wrap

from plugin_system.errors import CallError
from plugin_system.executor import Executor
from plugin_system.registry import samples

DEADLINE_S = 1.0
PAUSE_S = 2.0  # for the audience's eyes; nothing is waited for
FAULTS = (
    ("SIGKILL in the middle of a call", "crash", "SIGKILL"),
    ("A call that never returns (deadline 1 s)", "hang", "asleep"),
    ("Garbage for a reply", "lie", "noise"),
)


def run(pause: float = PAUSE_S, events: str = "") -> Iterator[str]:
    """Yield the lines of the demo as things happen."""
    with Executor(samples(), events=events) as executor:
        begun = time.monotonic()
        tried = executor.start()
        for error in tried.values():
            if error:
                raise error
        yield f"{len(tried)} plugins, {len(tried)} processes: {_since(begun)}"
        pids = (f"{each} (pid {executor.status(each).pid})" for each in tried)
        yield "    " + "   ".join(pids)
        words = executor.call("text", "count", "to be or not to be")["words"]
        size = executor.call("image", "info", _picture())
        yield f"    text.count -> {words} words"
        yield f"    image.info -> {size['width']} x {size['height']} pixels"
        for title, method, how in FAULTS:
            yield ""
            yield title
            time.sleep(pause)
            yield from _hurt(executor, method, how)
        yield ""
        time.sleep(pause)
        status = executor.status("text")
        same = f"text is still pid {status.pid}, started {status.starts}x"
        yield f"Its neighbour saw nothing: {same}"


def _hurt(executor: Executor, method: str, how: str) -> Iterator[str]:
    begun = time.monotonic()
    try:
        executor.call("chaos", method, how, timeout=DEADLINE_S)
        yield "    nothing happened"  # it does when the demo is broken
    except CallError as error:
        yield f"    {type(error).__name__:20} {_since(begun)}"
        for line in wrap(str(error), 72):
            yield f"      {line}"
    begun = time.monotonic()
    answer = executor.call("chaos", "echo", "here I am", timeout=10)
    pid = executor.status("chaos").pid
    yield f"    {answer!r:20} {_since(begun)}, from a new process, pid {pid}"


def _since(begun: float) -> str:
    return f"after {(time.monotonic() - begun) * 1000:6.1f} ms"


def _picture() -> bytes:
    from PIL import Image

    made = BytesIO()
    Image.linear_gradient("L").resize((640, 480)).save(made, "PNG")
    return made.getvalue()
