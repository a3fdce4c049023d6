"""A demo that never ends, for the test that stops one."""

import signal

signal.pause()
