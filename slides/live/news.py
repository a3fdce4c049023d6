"""The news of two programs, through a proxy to two windows, as a show.

    python -m slides.live.news

Beside what every show tells (see play.py):

    wants       window, topic, on      the window's SUB has said so
    subscribed  topic, on              the proxy has passed it upstream
    passed      number, topic          news on its way to the windows
    got         window, number, again  again: out of the proxy's memory
    snapshot    on                     whether the proxy sends its memory

The programs are a ping-pong client and a host of plugins, both with their
own events. The proxy is an XSUB and an XPUB, and keeps the last news of
each topic. Its XPUB hears each subscription; with the snapshot switched on
it then sends that news again, so a late window has missed less.
"""

import queue
import time
from contextlib import ExitStack, suppress
from threading import Thread

import zmq

from pingpong.support.process import running, server_command
from plugin_system.errors import CallError
from plugin_system.executor import Executor
from plugin_system.registry import Registration
from slides.live.play import Play

TOPICS = ("pingpong", "plugin.reply", "plugin.PluginCrashed")
LATE = "window 2"
SNAPSHOT = "snapshot"
PING_S, PLUGIN_S = "0.9", 1.3  # seconds from one of their news to the next
TICK_MS = 50
IDLE_S = 300.0


class NewsShow(Play):
    def __init__(self) -> None:
        super().__init__()
        self._windows: dict[str, zmq.SyncSocket] = {}
        self._wanted: set[tuple[str, str]] = set()  # window, topic
        self._last: dict[bytes, bytes] = {}  # number of its news, by topic
        self._sends_last = False
        self._passed = self._made = self._missed = self._again = 0

    def play(self) -> None:
        self.tell("begin", total=0)
        with ExitStack() as stack:
            context = stack.enter_context(zmq.Context())
            self._xsub = stack.enter_context(context.socket(zmq.XSUB))
            self._xpub = stack.enter_context(context.socket(zmq.XPUB))
            self._xsub.bind("tcp://127.0.0.1:*")
            self._xpub.xpub_verbose = 1  # hear also who is the second to ask
            self._xpub.bind("inproc://news")
            for name in ("window 1", LATE):
                self._windows[name] = stack.enter_context(
                    context.socket(zmq.SUB)
                )
            self._windows["window 1"].connect("inproc://news")
            events = self._xsub.get_string(zmq.LAST_ENDPOINT)
            self._start_programs(stack, events)
            names = (*TOPICS, LATE, SNAPSHOT)
            self.tell("crew", workers=dict.fromkeys(names, 0))
            self._proxy()
        counts = {"made": self._made, "again": self._again}
        lost = self._missed - self._again
        self.tell("over", **counts, lost=lost, total=self._passed)

    def _start_programs(self, stack: ExitStack, events: str) -> None:
        server = server_command("tcp://127.0.0.1:*")
        _, endpoint = stack.enter_context(running(*server))
        client = [*server[:3], "client", "--connect", endpoint, "-q"]
        client += ["--count", "0", "-i", PING_S, "--events", events]
        stack.enter_context(running(*client))
        chaos = Registration("chaos", "plugin_system.samples.chaos:plugin")
        executor = stack.enter_context(Executor([chaos], events=events))
        Thread(target=_call, args=(executor,), daemon=True).start()

    def _proxy(self) -> None:
        poller = zmq.Poller()
        for each in (self._xsub, self._xpub, *self._windows.values()):
            poller.register(each, zmq.POLLIN)
        until = time.monotonic() + IDLE_S
        while time.monotonic() < until:
            with suppress(queue.Empty):
                if not (name := self.clicks.get_nowait()):
                    return
                self._obey(name)
                until = time.monotonic() + IDLE_S
            ready = dict(poller.poll(TICK_MS))
            if self._xpub in ready:
                self._subscribe(self._xpub.recv())
            if self._xsub in ready:
                self._pass_on(self._xsub.recv_multipart()[0])
            for window, sub in self._windows.items():
                if sub in ready:
                    _, number, again = sub.recv_multipart()
                    self._arrive(window, int(number), bool(again))

    def _obey(self, name: str) -> None:
        if name == SNAPSHOT:
            self._sends_last = not self._sends_last
            self.tell("snapshot", on=self._sends_last)
        elif name in TOPICS:
            self._want("window 1", name)
        elif name == LATE and (LATE, TOPICS[0]) not in self._wanted:
            self._windows[LATE].connect("inproc://news")
            self._missed = self._passed
            for topic in TOPICS:
                self._want(LATE, topic)

    def _want(self, window: str, topic: str) -> None:
        self._wanted ^= {(window, topic)}
        on = (window, topic) in self._wanted
        sub = self._windows[window]
        sub.subscribe(topic) if on else sub.unsubscribe(topic)
        self.tell("wants", window=window, topic=topic, on=on)

    def _subscribe(self, message: bytes) -> None:
        on, topic = message[:1] == b"\1", message[1:]
        self.tell("subscribed", topic=topic.decode(), on=on)
        self._xsub.send(message)
        if on and self._sends_last:
            for name, number in self._last.items():
                if name.startswith(topic):
                    self._xpub.send_multipart([name, number, b"again"])

    def _pass_on(self, topic: bytes) -> None:
        self._passed += 1
        self.tell("passed", number=self._passed, topic=topic.decode())
        self._last[topic] = number = b"%d" % self._passed
        self._xpub.send_multipart([topic, number, b""])

    def _arrive(self, window: str, number: int, again: bool) -> None:
        if again and window != LATE:
            return  # it had that one
        self._made += window != LATE
        self._again += again
        self.tell("got", window=window, number=number, again=again)


def _call(executor: Executor) -> None:
    for number in range(1, 1_000):
        with suppress(CallError):
            if number % 4:
                executor.call("chaos", "echo", number)
            else:
                executor.call("chaos", "crash", "SIGSEGV")
        time.sleep(PLUGIN_S)


if __name__ == "__main__":
    NewsShow().run()
