"""Ping-pong: REQ/REP, and what it takes to survive the other side.

server.py   REP: answers each ping with a pong, and outlives every client
client.py   REQ: asks until it is answered (the Guide's Lazy Pirate)
broker.py   ROUTER and DEALER: several servers behind one endpoint
demo.py     three clients, and a server that is killed meanwhile
c/          server and client again, in C
support/    endpoints, signals, statistics, and the demo's processes
"""

__version__ = "1.0.0"
