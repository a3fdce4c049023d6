"""Sockets with bounds, monitors, keys.

sockets    bound or connected, watched, and never waited for without end
endpoints  which are refused
monitor    who is at the other end of a socket
curve      who may be
events     what is published to those who subscribe
"""
