"""The schema that all examples share, and the code generated from it.

`messages.proto` is the source; `make proto` writes `messages_pb2.py` and
`messages_pb2.pyi` beside it. This is the one package that the examples
have in common.
"""
