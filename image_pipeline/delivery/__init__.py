"""Delivery at least once, which PUSH and PULL alone do not give.

ledger      the open files, and when the lease of each one ends
batch       what the ventilator sends next, and what has come back
receipts    a report becomes an outcome, once
announced   the files that the sink expects; it refuses all others
tasks       what a worker does with a task
presence    peers that are missing for too long
clock       a clock that stands still during Ctrl-Z
handed_in   the interfaces of a source and a store
"""
