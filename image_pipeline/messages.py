"""Messages on the wire: encoding, and decoding that believes nothing.

protobuf accepts empty bytes and many random ones, so each `read_*` function
makes the checks that `proto/messages.proto` asks for and raises Malformed
with a sentence where one fails. A receiver drops such a message.
"""

import os
from collections.abc import Iterable, Sequence
from functools import lru_cache

from google.protobuf.message import DecodeError

from image_pipeline import messages_pb2 as pb
from image_pipeline.imaging.recipe import Box, Format, Recipe
from image_pipeline.storage.names import BadName, check_name

ABOUT_A_FILE_FROM_A_WORKER = frozenset(
    {
        pb.STAGE_STARTED,
        pb.STAGE_MADE,
        pb.STAGE_NOT_AN_IMAGE,
        pb.STAGE_FAILED,
    }
)
ABOUT_A_FILE = ABOUT_A_FILE_FROM_A_WORKER | {
    pb.STAGE_WANTED,
    pb.STAGE_CURRENT,
}
FROM_A_WORKER = ABOUT_A_FILE_FROM_A_WORKER | {
    pb.STAGE_READY,
    pb.STAGE_LEAVING,
}
_FORMATS = {
    Format.JPEG: pb.IMAGE_FORMAT_JPEG,
    Format.PNG: pb.IMAGE_FORMAT_PNG,
    Format.WEBP: pb.IMAGE_FORMAT_WEBP,
    Format.AVIF: pb.IMAGE_FORMAT_AVIF,
}
_FORMATS_BACK = {number: name for name, number in _FORMATS.items()}
_LOWER_HALF = 0xFFFF_FFFF
MOST_BYTES = 4 * 2**20  # of a message, without the frames that follow it
MOST_THUMBNAIL = 64 * 2**20  # bytes of one, and so of any frame to a sink
MOST_TEXT = 2_000  # characters of a reason, of notes, of a worker's name


class Malformed(ValueError):
    """The message fails a check of the schema; the text says which."""


def new_batch() -> int:
    """Draw the number of a batch, which nobody can guess: 1 to 2**32 - 1."""
    return max(1, int.from_bytes(os.urandom(4)))


def id_of(batch: int, number: int) -> int:
    """Return the id of file `number`, counted from 1, of `batch`."""
    return batch << 32 | number


def number_of(batch: int, file_id: int) -> int | None:
    """Return the number of a file, or None if it is of another batch."""
    return file_id & _LOWER_HALF if file_id >> 32 == batch else None


def recipe_to_wire(recipe: Recipe) -> pb.Recipe:
    return pb.Recipe(
        sizes=[pb.Box(width=b.width, height=b.height) for b in recipe.sizes],
        format=_FORMATS[recipe.format],
        quality=recipe.quality,
        strict=recipe.strict,
        max_pixels=recipe.max_pixels,
        max_bytes=recipe.max_bytes,
    )


def read_recipe(message: pb.Recipe) -> Recipe:
    return _parse_recipe(message.SerializeToString(deterministic=True))


@lru_cache(maxsize=16)  # each task carries it, and all of them the same one
def _parse_recipe(data: bytes) -> Recipe:
    message = pb.Recipe.FromString(data)
    if message.format not in _FORMATS_BACK:
        raise Malformed(f"unknown image format {message.format}")
    try:
        return Recipe(
            sizes=tuple(Box(b.width, b.height) for b in message.sizes),
            format=_FORMATS_BACK[message.format],
            quality=message.quality,
            strict=message.strict,
            max_pixels=message.max_pixels,
            max_bytes=message.max_bytes,
        )
    except ValueError as error:
        raise Malformed(f"impossible recipe: {error}") from None


def read_task(data: bytes, images: int) -> tuple[pb.Task, Recipe]:
    """Decode a Task that came with `images`, and the recipe in it."""
    try:
        task = pb.Task.FromString(data)
    except DecodeError:
        raise Malformed("not a Task") from None
    for file_id in task.ids:
        _check_id(file_id)
    if not images or len(task.ids) != images:
        raise Malformed(f"{len(task.ids)} ids for {images} images")
    if not task.timeout_ms:
        raise Malformed("a task without a timeout")
    return task, read_recipe(task.recipe)


def read_to_sink(data: bytes) -> pb.Plan | pb.Reports:
    """Decode what reaches a sink: a Plan, or the Reports of a worker."""
    if len(data) > MOST_BYTES:
        raise Malformed(f"a message of {len(data)} bytes")
    try:
        message = pb.ToSink.FromString(data)
    except DecodeError:
        raise Malformed("not a ToSink") from None
    match message.WhichOneof("body"):
        case "plan":
            return _checked_plan(message.plan)
        case "reports":
            for report in message.reports.reports:
                _checked_report(report, FROM_A_WORKER)
            return message.reports
        case _:
            raise Malformed("a ToSink without a body")


def read_receipts(data: bytes) -> Sequence[pb.Report]:
    """Decode what reaches the ventilator."""
    try:
        message = pb.Reports.FromString(data)
    except DecodeError:
        raise Malformed("not Reports") from None
    for report in message.reports:
        _checked_report(report, pb.Stage.values())
    return message.reports


def _checked_plan(plan: pb.Plan) -> pb.Plan:
    if not plan.batch:
        raise Malformed("a plan without a batch")
    read_recipe(plan.recipe)
    for file in plan.files:
        _check_id(file.id)
        if file.id >> 32 != plan.batch:
            raise Malformed("a plan with files of another batch")
        try:
            check_name(file.name)
        except BadName as error:
            raise Malformed(str(error)) from None
    return plan


def _checked_report(report: pb.Report, allowed: Iterable[int]) -> pb.Report:
    if report.stage == pb.STAGE_UNSPECIFIED or report.stage not in allowed:
        raise Malformed(f"a report of stage {report.stage}")
    if report.stage in ABOUT_A_FILE:
        _check_id(report.id)
    texts = report.reason, report.worker, "".join(report.notes)
    if max(map(len, texts)) > MOST_TEXT:
        raise Malformed("a report that tells a novel")
    return report


def _check_id(file_id: int) -> None:
    if not file_id >> 32 or not file_id & _LOWER_HALF:
        raise Malformed(f"{file_id:#x} is not an id")
