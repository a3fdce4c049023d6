"""ZeroMQ by example: each file is a chapter, each test proves a claim.

A chapter opens with its pattern, one or two plain functions that a slide can
show, and goes on with tests: first the trap, then the cure. The first
sentence of a test's docstring is the claim that it proves; README.md lists
them all.
"""
