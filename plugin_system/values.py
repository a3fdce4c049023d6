"""Python values to and from `Value`: what arrives is what was sent.

Nothing is converted on the way. A tuple, an IntEnum or a numpy number is
refused instead of arriving as something else, so a mistake shows where it
was made. Integers may be of any size.
"""

from typing import Any, Final

from plugin_system.messages_pb2 import PluginCall, PluginReply, Value

PROTOCOL: Final = 1
MAGIC: Final = "beyond-http plugin"
MAX_MESSAGE_BYTES: Final = 64 * 2**20
MAX_DEPTH: Final = 32
MAX_FIELDS: Final = 1_000_000  # of protobuf: two for each value in a list
# Which fields hold messages, by name of the message.
_VALUE: dict[int, Any] = {}
_MAP = {1: {2: _VALUE}}
_VALUE |= {8: {1: _VALUE}, 9: _MAP}
_INNER = {"PluginCall": {4: _VALUE, 6: _MAP}, "PluginReply": {3: _VALUE}}
_MOST: Final = f"a list or dict may have {MAX_FIELDS // 2}; send bytes"
# The kinds of Value whose field is the Python value itself.
PLAIN: Final = frozenset(("boolean", "integer", "real", "text", "data"))


def encode(value: Any, into: Value, depth: int = 1) -> None:
    """Set `into` to `value`.

    Raises TypeError for a type that the wire does not know, ValueError for
    what is nested too deeply, too many, or text that UTF-8 cannot express.
    """
    # Comparing types is half the time of matching classes, and right: an
    # instance of a subclass would come back as something else.
    kind = type(value)
    if kind is bytes:
        into.data = value
    elif kind is str:
        into.text = value
    elif kind is int:
        if -(2**63) <= value < 2**63:
            into.integer = value
        else:
            size = value.bit_length() // 8 + 1
            into.big_integer = value.to_bytes(size, "big", signed=True)
    elif kind is float:
        into.real = value
    elif kind is bool:
        into.boolean = value
    elif value is None:
        into.none = True
    elif depth >= MAX_DEPTH:
        raise ValueError(f"a value is nested more than {MAX_DEPTH} deep")
    elif kind in (list, dict) and len(value) > MAX_FIELDS // 2:
        raise ValueError(f"a value holds {len(value)}; {_MOST}")
    elif kind is list:
        into.list.SetInParent()
        for item in value:
            encode(item, into.list.items.add(), depth + 1)
    elif kind is dict:
        into.map.SetInParent()
        for key, item in value.items():
            if type(key) is not str:
                wrong = f"a key of a dict is {_name_of(type(key))}"
                raise TypeError(f"{wrong}; only str can be sent")
            entry = into.map.entries.add(key=key)
            encode(item, entry.value, depth + 1)
    else:
        raise TypeError(
            f"a value is {_name_of(kind)}; only None, bool, int, float, str, "
            "bytes, list and dict can be sent, and no subclasses of them"
        )


def decode(value: Value, depth: int = 1) -> Any:
    """Return the Python value. Raises ValueError for what no one may send."""
    kind = value.WhichOneof("kind")
    if kind in PLAIN:
        return getattr(value, kind)
    if kind is None:
        raise ValueError("a value of no kind")
    if kind == "none":
        return None
    if kind == "big_integer":
        return int.from_bytes(value.big_integer, "big", signed=True)
    if depth >= MAX_DEPTH:
        raise ValueError(f"a value is nested more than {MAX_DEPTH} deep")
    if kind == "list":
        return [decode(item, depth + 1) for item in value.list.items]
    entries = value.map.entries
    found = {each.key: decode(each.value, depth + 1) for each in entries}
    if len(found) != len(entries):
        raise ValueError("a map has one key twice")
    return found


def frame(message: PluginCall | PluginReply, what: str) -> bytes:
    """Return `message` as bytes. Raises ValueError for too many."""
    data: bytes = message.SerializeToString()
    if len(data) > MAX_MESSAGE_BYTES:
        most = f"a message holds {MAX_MESSAGE_BYTES}"
        raise ValueError(f"{what} has {len(data)} bytes; {most}")
    check_fields(data, type(message).__name__)
    return data


def check_fields(data: bytes, message: str) -> None:
    """Raise ValueError for what has too many fields, before it is parsed.

    To parse the 16 million values that 64 MiB can hold takes 700 MiB.
    """
    if len(data) < 2 * MAX_FIELDS:
        return  # a field has two bytes at least
    at = fields = 0
    within = [(len(data), _INNER[message])]
    try:
        while within:
            end, inner = within[-1]
            if at >= end:
                within.pop()
                continue
            fields += 1
            if fields > MAX_FIELDS:
                raise ValueError(f"more than {MAX_FIELDS} fields; {_MOST}")
            tag, at = _varint(data, at)
            size = {1: 8, 5: 4}.get(tag & 7, 0)
            if tag & 7 in (0, 2):
                size, at = _varint(data, at)
            if tag & 7 == 2 and tag >> 3 in inner:
                within.append((at + size, inner[tag >> 3]))
            elif tag & 7:
                at += size
    except IndexError:
        return  # it is cut off, and no message


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while (byte := data[at]) > 127:
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
    return value | byte << shift, at + 1


def _name_of(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
