"""At least once: what PUSH/PULL forgets, and who is there to ask.

ledger      which files are owed, and until when each is waited for
batch       what the ventilator sends next, and what comes back
receipts    a report becomes an outcome, once
announced   what the sink waits for; it refuses everything else
tasks       what a worker does with a task
presence    who is missing for too long
clock       Ctrl-Z does not count
handed_in   what all of it is told to work on
"""
