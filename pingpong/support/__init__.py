"""What makes the three screens strong.

stop.py      one signal that wakes every poll, and a deadline
endpoint.py  an endpoint is checked before libzmq sees it
bind.py      limits for strangers; no path is taken from a live server
receive.py   recv never waits; poll does
monitor.py   connections that came, failed and went
pings.py     ping after ping, from one client or several
stats.py     counts that add up, and round-trip times
process.py   the demo's servers, which end with it
"""
