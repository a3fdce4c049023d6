"""Ping-pong: REQ/REP, and what it takes to survive the other side."""
