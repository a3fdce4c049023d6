"""A worker process that does to itself what a bad image might do.

An image is followed by an order (what comes after the end of a JPEG is
ignored by decoders). It takes the arguments of `image_pipeline.process`.
"""

import os
import signal
import sys
import threading

from image_pipeline.imaging.recipe import Recipe
from image_pipeline.imaging.thumbnail import Made, make_thumbnails
from image_pipeline.supervision import worker_main

CRASH = b"##crash"  # while decoding
CRASH_AT_ONCE = b"##crash at once"
HANG = b"##hang"
HANG_IN_C = b"##hang in C"
WAIT = b"##wait"
WORKER = (sys.executable, "-W", "error", "-m", __name__)


def sabotaged(data: bytes, recipe: Recipe) -> Made:
    if data.endswith(CRASH_AT_ONCE):
        os.kill(os.getpid(), signal.SIGSEGV)
    if data.endswith(CRASH):
        make_thumbnails(data, recipe)
        os.kill(os.getpid(), signal.SIGSEGV)
    if data.endswith(HANG):
        while True:
            pass
    if data.endswith(HANG_IN_C):  # without the interpreter lock, for ever
        os.read(os.pipe()[0], 1)
    if data.endswith(WAIT):
        threading.Event().wait(0.2)
    return make_thumbnails(data, recipe)


if __name__ == "__main__":
    worker_main.main(sabotaged)
