"""A slow receiver behind PUSH and behind PUB, as a show.

    python -m slides.live.marks

Beside what every show tells (see play.py):

    slow     rate              receivers take so many messages a second
    sent     lane, number
    waits    lane              the queue is full: send() would block
    made     lane, number, lost    received; `lost` are missing before it

Four threads and two pairs of sockets over inproc, where no buffer of the
kernel stands beside the queues. In each pair they hold SEND + RECEIVE.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Event

import zmq

from slides.live.play import Play

SEND = RECEIVE = 4  # high-water marks
RATES = ("8", "4", "2", "1")  # messages a second, for the slider
INTERVAL_S = 0.25  # of the senders
SENDING_S = 40.0
LAST_MS = 500  # of silence, after the senders have ended
TICK_MS = 50
LANES = {"PUSH": (zmq.PUSH, zmq.PULL), "PUB": (zmq.XPUB, zmq.SUB)}


class MarksShow(Play):
    def __init__(self) -> None:
        super().__init__()
        self._rate = RATES[0]
        self._over = Event()

    def play(self) -> None:
        self.tell("begin", total=0, mark=SEND + RECEIVE)
        self.tell("crew", workers=dict.fromkeys(RATES, 0))
        with zmq.Context() as context, ThreadPoolExecutor() as pool:
            lanes = [pool.submit(self._lane, context, lane) for lane in LANES]
            self._over.wait(SENDING_S)
            self._over.set()
            counts = [lane.result() for lane in lanes]
        total, made = map(sum, zip(*counts, strict=True))
        self.tell("over", total=total, made=made, again=0, lost=total - made)

    def click(self, verb: str, name: str) -> None:
        if verb == "end":
            self._over.set()
        elif verb == "slow" and name in RATES:
            self._rate = name
            self.tell("slow", rate=name)

    def _lane(self, context: zmq.SyncContext, lane: str) -> tuple[int, int]:
        """Return how many messages were sent, and how many received."""
        out, into = LANES[lane]
        with context.socket(out) as sender, context.socket(into) as receiver:
            sender.linger = 0
            sender.sndhwm, receiver.rcvhwm = SEND, RECEIVE
            sender.bind(f"inproc://{lane}")
            receiver.connect(f"inproc://{lane}")
            if into == zmq.SUB:
                receiver.subscribe(b"")
                sender.recv()  # the subscription: now it is no late one
            with ThreadPoolExecutor() as pool:
                taking = pool.submit(self._receive, receiver, lane)
                return self._send(sender, lane), taking.result()

    def _send(self, sender: zmq.SyncSocket, lane: str) -> int:
        number = 0
        while not self._over.wait(INTERVAL_S):
            if not sender.poll(0, zmq.POLLOUT):
                self.tell("waits", lane=lane)
            while not sender.poll(TICK_MS, zmq.POLLOUT):
                if self._over.is_set():
                    return number
            number += 1
            self.tell("sent", lane=lane, number=number)
            sender.send(b"%d" % number)
        return number

    def _receive(self, receiver: zmq.SyncSocket, lane: str) -> int:
        last = made = 0
        with closing(receiver):
            while True:
                if receiver.poll(LAST_MS):
                    number = int(receiver.recv())
                    lost = number - last - 1
                    self.tell("made", lane=lane, number=number, lost=lost)
                    last, made = number, made + 1
                    self._be_slow()
                elif self._over.is_set():
                    return made

    def _be_slow(self) -> None:
        began = time.monotonic()
        while time.monotonic() < began + 1 / int(self._rate):
            if self._over.wait(TICK_MS / 1000):
                return


if __name__ == "__main__":
    MarksShow().run()
