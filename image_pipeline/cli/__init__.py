"""The command line, and nothing else.

main      the group of commands, and `run`
roles     ventilator, worker and sink, each for a terminal of its own
engines   what works on a batch: our workers, or a Dask cluster
options   what the commands share
display   shows a batch to a person; account counts it, report and
          gallery are files about it
dry_run   what a run would do
signals   Ctrl-C once and twice
"""
