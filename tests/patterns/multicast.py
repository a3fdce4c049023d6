"""One file to many receivers at once, by multicast: a program of its own.

    /usr/bin/python3 multicast.py send ADDRESS FILE RECEIVERS
    /usr/bin/python3 multicast.py receive ADDRESS FILE SENDER

ADDRESS is the IP address of the interface to use. The program runs under the
system's Python: Debian builds libzmq with PGM, and pyzmq's packages do not.

Sockets: PUB and SUB connect to the multicast group; PUSH tells PULL who is
ready, and who is done. Messages: the number of a chunk and the chunk. Why:
however many receivers there are, each chunk crosses the network once. PGM
repairs losses only while its PUB is open and only for those who heard the
beginning, so the sender waits for the receivers, before and after. Sources:
libzmq documentation, zmq_pgm and ZMQ_RATE; RFC 3208.
"""

import sys
import time
from pathlib import Path

import zmq

GROUP = "239.192.1.1:5555"
NEWS_PORT = 5556
CHUNK = 8_192
KILOBITS_PER_S = 100_000  # by default 100, which is a megabyte in 80 s
PATIENCE_S = 20


def send(address: str, file: str, receivers: str) -> None:
    """Send a file to so many receivers; return when all have it whole."""
    content = Path(file).read_bytes()
    starts = range(0, len(content), CHUNK)
    with zmq.Context() as context, context.socket(zmq.PULL) as news:
        news.bind(f"tcp://{address}:{NEWS_PORT}")
        with context.socket(zmq.PUB) as group:
            group.linger, group.rate = 0, KILOBITS_PER_S
            group.sndhwm = len(starts)  # PUB would drop what is beyond
            group.connect(f"epgm://{address};{GROUP}")
            wait_for(news, b"READY", int(receivers))
            for start in starts:
                header = b"%d %d " % (start, len(content))
                group.send(header + content[start : start + CHUNK])
            wait_for(news, b"DONE", int(receivers))


def receive(address: str, file: str, sender: str) -> None:
    """Receive a file, and write it once it is whole."""
    chunks: dict[int, bytes] = {}
    with zmq.Context() as context, context.socket(zmq.PUSH) as news:
        news.linger = news.sndtimeo = PATIENCE_S * 1000
        news.connect(f"tcp://{sender}:{NEWS_PORT}")
        with context.socket(zmq.SUB) as group:
            group.rate, group.rcvhwm = KILOBITS_PER_S, 0  # drop nothing
            group.rcvtimeo = PATIENCE_S * 1000
            group.subscribe(b"")
            group.connect(f"epgm://{address};{GROUP}")
            news.send(b"READY")
            length = 1
            while sum(map(len, chunks.values())) < length:
                start, total, chunk = group.recv().split(b" ", 2)
                chunks[int(start)] = chunk
                length = int(total)
        Path(file).write_bytes(b"".join(chunks[at] for at in sorted(chunks)))
        news.send(b"DONE")


def wait_for(news: "zmq.Socket[bytes]", word: bytes, count: int) -> None:
    """Return once so many receivers have said so, or end the program."""
    deadline = time.monotonic() + PATIENCE_S
    while count:
        left_s = max(0.0, deadline - time.monotonic())
        if not news.poll(int(left_s * 1000)):
            sys.exit(f"{count} receivers are not {word.decode()}")
        count -= news.recv() == word


if __name__ == "__main__":
    {"send": send, "receive": receive}[sys.argv[1]](*sys.argv[2:])
