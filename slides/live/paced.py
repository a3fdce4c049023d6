"""What a worker of a show does: a thumbnail, no faster than a room can see.

The work is real. Only then it waits until `PACE_S` have passed, so that a
message can be followed and somebody has time to click.
"""

import time

from image_pipeline.imaging.make import make as make_at_once
from image_pipeline.outcome import Made

PACE_S = 0.9


def make(data: bytes, instructions: bytes) -> Made:
    ends = time.monotonic() + PACE_S
    made = make_at_once(data, instructions)
    time.sleep(max(0.0, ends - time.monotonic()))
    return made
