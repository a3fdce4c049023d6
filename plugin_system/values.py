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
# The kinds of Value whose field is the Python value itself.
PLAIN: Final = frozenset(("boolean", "integer", "real", "text", "data"))


def encode(value: Any, into: Value, depth: int = 1) -> None:
    """Set `into` to `value`.

    Raises TypeError for a type that the wire does not know, ValueError for
    what is nested too deeply or is text that UTF-8 cannot express.
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
    return data


def _name_of(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
