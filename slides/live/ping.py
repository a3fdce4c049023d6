"""Three clients and a server that a click kills, as a show.

    python -m slides.live.ping [COUNT]

Beside what every show tells (see play.py):

    begin    timeout
    socket   client, number, again   a REQ socket; `again`: for this ping
    sent     client, number
    silent   client                  its time-out has passed
    made     client, number, again   the pong is there
    kill     worker, pid             SIGKILL was sent

The server is a process, `pingpong server`. The clients are threads with the
client of that package, one REQ socket each.
"""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event

import zmq

from pingpong.client import Client, LostError
from pingpong.demo import held_endpoint
from pingpong.messages_pb2 import Ping, Pong
from pingpong.support.process import running, server_command
from pingpong.support.stop import Stop
from slides.live.play import Play

CLIENTS = 3
COUNT = 16  # pings of each
INTERVAL_S = 1.2
TIMEOUT_S = 1.5
RETRIES = 40
DEAD_S = 3.0  # until there is a new server
WORK_S = "0.1"  # of the server, for each ping
TICK_S = 0.05


class Telling(Client):
    """A client that tells of its sockets and its time-outs."""

    def __init__(
        self, show: "PingShow", client: int, context: zmq.SyncContext
    ) -> None:
        self.show, self.client = show, client
        self.number = 0
        where = (context, show.endpoint, show.stop)
        super().__init__(*where, timeout=TIMEOUT_S, retries=RETRIES)

    def ask(self, ping: Ping) -> Pong:
        self.number, before = ping.id, self.retried
        self.show.tell("sent", client=self.client, number=ping.id)
        pong = super().ask(ping)
        self.show.made(self.client, ping.id, self.retried > before)
        return pong

    def pause(self, failed: int) -> None:
        self.show.tell("silent", client=self.client)
        super().pause(failed)

    def open(self) -> None:
        super().open()
        more = {"number": self.number, "again": self.number > 0}
        self.show.tell("socket", client=self.client, **more)


class PingShow(Play):
    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count
        self._server: subprocess.Popen[str] | None = None
        self._over = Event()
        self._made: list[bool] = []  # of each pong: whether asked again
        self.endpoint = ""
        self.stop = Stop()

    def play(self) -> None:
        total = CLIENTS * self._count
        self.tell("begin", total=total, timeout=TIMEOUT_S)
        with (
            held_endpoint() as self.endpoint,
            zmq.Context() as context,
            ThreadPoolExecutor() as pool,
        ):
            serving = pool.submit(self._serve)
            asking = [
                pool.submit(self._ask, client, context)
                for client in range(1, CLIENTS + 1)
            ]
            for each in asking:
                each.result()
            self._over.set()
            serving.result()
        counts = {"made": len(self._made), "again": sum(self._made)}
        self.tell("over", **counts, lost=total - len(self._made))

    def click(self, verb: str, name: str) -> None:
        server = self._server
        if (verb, name) == ("kill", "server") and server:
            server.kill()
            self.tell("kill", worker="server", pid=server.pid)

    def made(self, client: int, number: int, again: bool) -> None:
        self._made.append(again)
        self.tell("made", client=client, number=number, again=again)

    def _ask(self, client: int, context: zmq.SyncContext) -> None:
        self._over.wait(INTERVAL_S * client / CLIENTS)
        with Telling(self, client, context) as telling:
            for number in range(1, self._count + 1):
                ends = time.monotonic() + INTERVAL_S
                with suppress(LostError):
                    telling.ask(Ping(id=number))
                self._over.wait(max(0.0, ends - time.monotonic()))

    def _serve(self) -> None:
        while not self._over.is_set():
            command = (*server_command(self.endpoint), "--work", WORK_S)
            with running(*command) as (self._server, _):
                self.tell("crew", workers={"server": self._server.pid})
                while self._server.poll() is None:
                    if self._over.wait(TICK_S):
                        return
                self._server = None
            self.tell("crew", workers={})
            self._over.wait(DEAD_S)


if __name__ == "__main__":
    PingShow(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT).run()
