"""Messages on the wire: encoding, and decoding that believes nothing.

protobuf accepts empty bytes and many random ones, so each `read_*` function
makes the checks that `proto/messages.proto` asks for and raises Malformed
with a sentence where one fails. A receiver drops such a message. Recipes
are opaque here: who makes the results can read them.
"""

import os
from collections.abc import Iterable, Sequence
from math import inf

from google.protobuf.message import DecodeError

from image_pipeline import messages_pb2 as pb

ABOUT_A_WORKER = frozenset(
    (pb.STAGE_READY, pb.STAGE_LEAVING, pb.STAGE_CRASHED, pb.STAGE_TIMED_OUT)
)
_OF_WORK = frozenset(
    (pb.STAGE_STARTED, pb.STAGE_MADE, pb.STAGE_SKIPPED, pb.STAGE_FAILED)
)
_ABOUT_A_FILE = _OF_WORK | {pb.STAGE_WANTED, pb.STAGE_CURRENT}
_FROM_A_WORKER = _OF_WORK | ABOUT_A_WORKER
MAX_BYTES = 4 * 2**20  # of a message, without the frames that follow it
MAX_RESULT = 16 * 2**20  # bytes of one, and so of any frame to a sink
MAX_TEXT = 2_000  # characters of a reason, of notes, of a worker's name


class Malformed(ValueError):
    """The message fails a check of the schema; the text says which."""


def new_batch() -> int:
    """Draw the number of a batch, which nobody can guess: 1 to 2**32 - 1."""
    return max(1, int.from_bytes(os.urandom(4)))


def id_of(batch: int, number: int) -> int:
    """Return the id of file `number`, counted from 1, of `batch`."""
    return batch << 32 | number


def text(value: object) -> str:
    """Return what may stand in a report: short, and printable."""
    letters = str(value)[:MAX_TEXT]
    return "".join(each if each.isprintable() else "?" for each in letters)


def to_sink(*reports: pb.Report) -> bytes:
    """Encode what a worker, or its supervisor, has to say."""
    message = pb.ToSink(reports=pb.Reports(reports=reports))
    return message.SerializeToString()


def read_task(data: bytes, files: int) -> pb.Task:
    """Decode a Task that came with so many files."""
    try:
        task = pb.Task.FromString(data)
    except DecodeError:
        raise Malformed("not a Task") from None
    for file_id in task.ids:
        _check_id(file_id)
    if not files or len(task.ids) != files:
        raise Malformed(f"{len(task.ids)} ids for {files} files")
    if not task.timeout_ms:
        raise Malformed("a task without a timeout")
    return task


def read_to_sink(data: bytes, frames: int = 0) -> pb.Plan | pb.Reports:
    """Decode what reaches a sink: a Plan, or Reports and their results."""
    if len(data) > MAX_BYTES:
        raise Malformed(f"a message of {len(data)} bytes")
    try:
        message = pb.ToSink.FromString(data)
    except DecodeError:
        raise Malformed("not a ToSink") from None
    match message.WhichOneof("body"):
        case "plan":
            return _checked_plan(message.plan)
        case "reports":
            reports = message.reports.reports
            for report in reports:
                _check_report(report, _FROM_A_WORKER)
            results = sum(report.results for report in reports)
            if results != frames:
                raise Malformed(f"{frames} frames for {results} results")
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
        _check_report(report, pb.Stage.values())
    return message.reports


def _checked_plan(plan: pb.Plan) -> pb.Plan:
    if not plan.batch:
        raise Malformed("a plan without a batch")
    for file in plan.files:
        _check_id(file.id)
        if file.id >> 32 != plan.batch:
            raise Malformed("a plan with files of another batch")
    return plan


def _check_report(report: pb.Report, allowed: Iterable[int]) -> None:
    if report.stage == pb.STAGE_UNSPECIFIED or report.stage not in allowed:
        raise Malformed(f"a report of stage {report.stage}")
    if report.stage in _ABOUT_A_FILE:
        _check_id(report.id)
    texts = report.reason, report.worker, "".join(report.notes)
    if max(map(len, texts)) > MAX_TEXT:
        raise Malformed(f"report text longer than {MAX_TEXT} characters")
    # It will be seen in a terminal, where escapes are commands.
    if not "".join(texts).isprintable():
        raise Malformed("report text that cannot be printed")
    if not 0 <= report.seconds < inf:  # JSON has no NaN
        raise Malformed(f"a report of {report.seconds} seconds")
    report.DiscardUnknownFields()


def _check_id(file_id: int) -> None:
    if not file_id >> 32 or not file_id & 0xFFFF_FFFF:
        raise Malformed(f"{file_id:#x} is not an id")
