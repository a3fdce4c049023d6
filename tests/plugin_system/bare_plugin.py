"""A plugin without the SDK: only pyzmq, protobuf and messages.proto.

It doubles integers, and answers everything else with a failure.
"""

import os
import sys
import threading

import zmq

from plugin_system import messages_pb2 as pb


def main() -> None:
    socket = zmq.Context().socket(zmq.REP)
    socket.bind(os.environ["PLUGIN_ENDPOINT"])
    ready = pb.PluginReady(
        magic="beyond-http plugin",
        protocol_min=1,
        protocol_max=1,
        version="0.1",
        methods=[pb.PluginMethod(name="double")],
    ).SerializeToString()
    with os.fdopen(int(os.environ["PLUGIN_READY_FD"]), "wb") as pipe:
        pipe.write(len(ready).to_bytes(4, "big") + ready)
    threading.Thread(target=leave_with_host, daemon=True).start()
    while True:
        call = pb.PluginCall.FromString(socket.recv())
        reply = pb.PluginReply(id=call.id, incarnation=call.incarnation)
        if call.method == "double" and call.arguments[0].HasField("integer"):
            reply.result.integer = 2 * call.arguments[0].integer
        else:
            reply.failure.type = "NotUnderstood"
            reply.failure.message = f"cannot {call.method}"
        socket.send(reply.SerializeToString())


def leave_with_host() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
