"""What a worker may do to itself at a bad image, on the orders of a test.

An image is followed by an order (what comes after the end of a JPEG is
ignored by decoders).
"""

import os
import signal
import threading

from image_pipeline.imaging.make import make as make_thumbnails
from image_pipeline.outcome import Made

CRASH = b"##crash"  # while decoding
CRASH_AT_ONCE = b"##crash at once"
EXIT = b"##exit"
HANG = b"##hang"
HANG_IN_C = b"##hang in C"
WAIT = b"##wait"
MAKE = f"{__name__}:make"


def make(data: bytes, recipe: bytes) -> Made:
    if data.endswith(CRASH_AT_ONCE):
        os.kill(os.getpid(), signal.SIGSEGV)
    if data.endswith(CRASH):
        make_thumbnails(data, recipe)
        os.kill(os.getpid(), signal.SIGSEGV)
    if data.endswith(EXIT):
        os._exit(7)
    if data.endswith(HANG):
        while True:
            pass
    if data.endswith(HANG_IN_C):  # without the interpreter lock, for ever
        os.read(os.pipe()[0], 1)
    if data.endswith(WAIT):
        threading.Event().wait(0.2)
    return make_thumbnails(data, recipe)
