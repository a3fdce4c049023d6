from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ImageFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IMAGE_FORMAT_UNSPECIFIED: _ClassVar[ImageFormat]
    IMAGE_FORMAT_JPEG: _ClassVar[ImageFormat]
    IMAGE_FORMAT_PNG: _ClassVar[ImageFormat]
    IMAGE_FORMAT_WEBP: _ClassVar[ImageFormat]
    IMAGE_FORMAT_AVIF: _ClassVar[ImageFormat]

class Stage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STAGE_UNSPECIFIED: _ClassVar[Stage]
    STAGE_READY: _ClassVar[Stage]
    STAGE_LEAVING: _ClassVar[Stage]
    STAGE_STARTED: _ClassVar[Stage]
    STAGE_MADE: _ClassVar[Stage]
    STAGE_SKIPPED: _ClassVar[Stage]
    STAGE_FAILED: _ClassVar[Stage]
    STAGE_WANTED: _ClassVar[Stage]
    STAGE_CURRENT: _ClassVar[Stage]
    STAGE_BROKEN: _ClassVar[Stage]
    STAGE_CRASHED: _ClassVar[Stage]
    STAGE_TIMED_OUT: _ClassVar[Stage]
IMAGE_FORMAT_UNSPECIFIED: ImageFormat
IMAGE_FORMAT_JPEG: ImageFormat
IMAGE_FORMAT_PNG: ImageFormat
IMAGE_FORMAT_WEBP: ImageFormat
IMAGE_FORMAT_AVIF: ImageFormat
STAGE_UNSPECIFIED: Stage
STAGE_READY: Stage
STAGE_LEAVING: Stage
STAGE_STARTED: Stage
STAGE_MADE: Stage
STAGE_SKIPPED: Stage
STAGE_FAILED: Stage
STAGE_WANTED: Stage
STAGE_CURRENT: Stage
STAGE_BROKEN: Stage
STAGE_CRASHED: Stage
STAGE_TIMED_OUT: Stage

class Ping(_message.Message):
    __slots__ = ("id", "payload")
    ID_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    id: int
    payload: bytes
    def __init__(self, id: _Optional[int] = ..., payload: _Optional[bytes] = ...) -> None: ...

class Pong(_message.Message):
    __slots__ = ("id", "payload", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: int
    payload: bytes
    error: str
    def __init__(self, id: _Optional[int] = ..., payload: _Optional[bytes] = ..., error: _Optional[str] = ...) -> None: ...

class Box(_message.Message):
    __slots__ = ("width", "height")
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    width: int
    height: int
    def __init__(self, width: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class Recipe(_message.Message):
    __slots__ = ("sizes", "format", "quality", "strict", "max_pixels", "max_bytes", "fill")
    SIZES_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    STRICT_FIELD_NUMBER: _ClassVar[int]
    MAX_PIXELS_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    FILL_FIELD_NUMBER: _ClassVar[int]
    sizes: _containers.RepeatedCompositeFieldContainer[Box]
    format: ImageFormat
    quality: int
    strict: bool
    max_pixels: int
    max_bytes: int
    fill: bool
    def __init__(self, sizes: _Optional[_Iterable[_Union[Box, _Mapping]]] = ..., format: _Optional[_Union[ImageFormat, str]] = ..., quality: _Optional[int] = ..., strict: bool = ..., max_pixels: _Optional[int] = ..., max_bytes: _Optional[int] = ..., fill: bool = ...) -> None: ...

class Task(_message.Message):
    __slots__ = ("ids", "recipe", "timeout_ms")
    IDS_FIELD_NUMBER: _ClassVar[int]
    RECIPE_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[int]
    recipe: bytes
    timeout_ms: int
    def __init__(self, ids: _Optional[_Iterable[int]] = ..., recipe: _Optional[bytes] = ..., timeout_ms: _Optional[int] = ...) -> None: ...

class ToSink(_message.Message):
    __slots__ = ("plan", "reports")
    PLAN_FIELD_NUMBER: _ClassVar[int]
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    plan: Plan
    reports: Reports
    def __init__(self, plan: _Optional[_Union[Plan, _Mapping]] = ..., reports: _Optional[_Union[Reports, _Mapping]] = ...) -> None: ...

class Plan(_message.Message):
    __slots__ = ("batch", "recipe", "force", "files", "withdrawn", "last")
    BATCH_FIELD_NUMBER: _ClassVar[int]
    RECIPE_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    WITHDRAWN_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    batch: int
    recipe: bytes
    force: bool
    files: _containers.RepeatedCompositeFieldContainer[SourceFile]
    withdrawn: _containers.RepeatedScalarFieldContainer[int]
    last: bool
    def __init__(self, batch: _Optional[int] = ..., recipe: _Optional[bytes] = ..., force: bool = ..., files: _Optional[_Iterable[_Union[SourceFile, _Mapping]]] = ..., withdrawn: _Optional[_Iterable[int]] = ..., last: bool = ...) -> None: ...

class SourceFile(_message.Message):
    __slots__ = ("id", "name", "size", "mtime_ns", "mode")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    MTIME_NS_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    id: int
    name: bytes
    size: int
    mtime_ns: int
    mode: int
    def __init__(self, id: _Optional[int] = ..., name: _Optional[bytes] = ..., size: _Optional[int] = ..., mtime_ns: _Optional[int] = ..., mode: _Optional[int] = ...) -> None: ...

class Report(_message.Message):
    __slots__ = ("id", "stage", "worker", "reason", "width", "height", "seconds", "notes", "results")
    ID_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    id: int
    stage: Stage
    worker: str
    reason: str
    width: int
    height: int
    seconds: float
    notes: _containers.RepeatedScalarFieldContainer[str]
    results: int
    def __init__(self, id: _Optional[int] = ..., stage: _Optional[_Union[Stage, str]] = ..., worker: _Optional[str] = ..., reason: _Optional[str] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., seconds: _Optional[float] = ..., notes: _Optional[_Iterable[str]] = ..., results: _Optional[int] = ...) -> None: ...

class Reports(_message.Message):
    __slots__ = ("reports",)
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    reports: _containers.RepeatedCompositeFieldContainer[Report]
    def __init__(self, reports: _Optional[_Iterable[_Union[Report, _Mapping]]] = ...) -> None: ...

class PluginReady(_message.Message):
    __slots__ = ("magic", "protocol_min", "protocol_max", "version", "methods")
    MAGIC_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_MIN_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_MAX_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    METHODS_FIELD_NUMBER: _ClassVar[int]
    magic: str
    protocol_min: int
    protocol_max: int
    version: str
    methods: _containers.RepeatedCompositeFieldContainer[PluginMethod]
    def __init__(self, magic: _Optional[str] = ..., protocol_min: _Optional[int] = ..., protocol_max: _Optional[int] = ..., version: _Optional[str] = ..., methods: _Optional[_Iterable[_Union[PluginMethod, _Mapping]]] = ...) -> None: ...

class PluginMethod(_message.Message):
    __slots__ = ("name", "idempotent")
    NAME_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    idempotent: bool
    def __init__(self, name: _Optional[str] = ..., idempotent: bool = ...) -> None: ...

class PluginCall(_message.Message):
    __slots__ = ("id", "incarnation", "method", "arguments", "deadline_ns", "keywords")
    ID_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_NS_FIELD_NUMBER: _ClassVar[int]
    KEYWORDS_FIELD_NUMBER: _ClassVar[int]
    id: int
    incarnation: int
    method: str
    arguments: _containers.RepeatedCompositeFieldContainer[Value]
    deadline_ns: int
    keywords: ValueMap
    def __init__(self, id: _Optional[int] = ..., incarnation: _Optional[int] = ..., method: _Optional[str] = ..., arguments: _Optional[_Iterable[_Union[Value, _Mapping]]] = ..., deadline_ns: _Optional[int] = ..., keywords: _Optional[_Union[ValueMap, _Mapping]] = ...) -> None: ...

class PluginReply(_message.Message):
    __slots__ = ("id", "incarnation", "result", "failure")
    ID_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    id: int
    incarnation: int
    result: Value
    failure: PluginFailure
    def __init__(self, id: _Optional[int] = ..., incarnation: _Optional[int] = ..., result: _Optional[_Union[Value, _Mapping]] = ..., failure: _Optional[_Union[PluginFailure, _Mapping]] = ...) -> None: ...

class PluginFailure(_message.Message):
    __slots__ = ("type", "message", "traceback")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TRACEBACK_FIELD_NUMBER: _ClassVar[int]
    type: str
    message: str
    traceback: str
    def __init__(self, type: _Optional[str] = ..., message: _Optional[str] = ..., traceback: _Optional[str] = ...) -> None: ...

class Value(_message.Message):
    __slots__ = ("none", "boolean", "integer", "big_integer", "real", "text", "data", "list", "map")
    NONE_FIELD_NUMBER: _ClassVar[int]
    BOOLEAN_FIELD_NUMBER: _ClassVar[int]
    INTEGER_FIELD_NUMBER: _ClassVar[int]
    BIG_INTEGER_FIELD_NUMBER: _ClassVar[int]
    REAL_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    LIST_FIELD_NUMBER: _ClassVar[int]
    MAP_FIELD_NUMBER: _ClassVar[int]
    none: bool
    boolean: bool
    integer: int
    big_integer: bytes
    real: float
    text: str
    data: bytes
    list: ValueList
    map: ValueMap
    def __init__(self, none: bool = ..., boolean: bool = ..., integer: _Optional[int] = ..., big_integer: _Optional[bytes] = ..., real: _Optional[float] = ..., text: _Optional[str] = ..., data: _Optional[bytes] = ..., list: _Optional[_Union[ValueList, _Mapping]] = ..., map: _Optional[_Union[ValueMap, _Mapping]] = ...) -> None: ...

class ValueList(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Value]
    def __init__(self, items: _Optional[_Iterable[_Union[Value, _Mapping]]] = ...) -> None: ...

class ValueMap(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[ValueEntry]
    def __init__(self, entries: _Optional[_Iterable[_Union[ValueEntry, _Mapping]]] = ...) -> None: ...

class ValueEntry(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: Value
    def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Value, _Mapping]] = ...) -> None: ...
