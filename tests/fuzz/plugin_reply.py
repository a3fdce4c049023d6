"""plugin_system: a reply of a plugin, and the values in it."""

from tests.fuzz.kit import fuzz, instrumented

with instrumented():
    from google.protobuf.message import DecodeError

    from plugin_system import values
    from plugin_system.errors import printable
    from plugin_system.messages_pb2 import PluginReply, Value


def one(data: bytes) -> None:
    try:
        values.check_fields(data, "PluginReply")
        reply = PluginReply.FromString(data)
        if reply.HasField("failure"):
            printable(reply.failure.message)
        value = values.decode(reply.result)
    except (DecodeError, ValueError):
        return
    again = Value()
    values.encode(value, again)
    assert repr(values.decode(again)) == repr(value)  # NaN is not itself


if __name__ == "__main__":
    fuzz(one)
