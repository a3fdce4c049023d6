"""Several workers behind one endpoint: ROUTER in front, DEALER behind.

Role      broker, and N workers, each a thread with the same REP loop
Sockets   ROUTER, bound; DEALER, bound (inproc); N REP, connected (inproc)
Messages  Ping in, Pong out, behind the envelope that ROUTER put on

ROUTER puts the identity of the client in front of each request, DEALER deals
requests to the workers in turn, REP keeps the envelope and puts it on the
reply, and ROUTER sends the reply to that client (the Guide, chapter 3).
The client cannot tell this from one REP socket. Threads in Python gain
where the work is waiting; for computing, connect REP processes over ipc.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from uuid import uuid4

import zmq

from pingpong.server import Tally, serve
from pingpong.support.receive import receive
from pingpong.support.stop import Stop


def serve_with_workers(
    router: zmq.SyncSocket, stop: Stop, workers: int, work: float
) -> Tally:
    """Serve with `workers` REP threads until `stop`; add up their tallies."""
    context = router.context
    inside = f"inproc://workers-{uuid4()}"

    def worker() -> Tally:
        try:
            with context.socket(zmq.REP) as rep:
                rep.linger = 0
                rep.rcvhwm = 1
                rep.connect(inside)
                return serve(rep, stop, work)
        finally:
            stop.set()  # after a failure nobody would serve its share

    with context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        # Requests wait at the ROUTER, not behind one slow worker. A limit
        # for replies would lose them: REP drops one that finds no room.
        dealer.sndhwm = 1
        dealer.bind(inside)
        with ThreadPoolExecutor(workers) as pool:
            try:
                running = [pool.submit(worker) for _ in range(workers)]
                forward(router, dealer, stop)
            finally:
                stop.set()
    each = [done.result() for done in running]
    return Tally(sum(t.answered for t in each), sum(t.refused for t in each))


def forward(
    router: zmq.SyncSocket, dealer: zmq.SyncSocket, stop: Stop
) -> None:
    """Carry requests in and replies out until `stop`.

    A request is only taken from the ROUTER when the DEALER has room for it.
    Its send never waits all the same: at a stop the workers may be gone.
    """
    poller = zmq.Poller()
    poller.register(stop.fd, zmq.POLLIN)
    while True:
        room = dealer.poll(0, zmq.POLLOUT)
        poller.register(router, zmq.POLLIN if room else 0)
        poller.register(dealer, zmq.POLLIN | (0 if room else zmq.POLLOUT))
        ready = dict(poller.poll())
        if stop.fd in ready:
            return
        if router in ready and (request := receive(router)):
            with suppress(zmq.Again):
                dealer.send_multipart(request, zmq.DONTWAIT)
        if dealer in ready and (reply := receive(dealer)):
            router.send_multipart(reply)
