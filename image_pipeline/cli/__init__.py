"""The command line, and nothing else.

main      the group of commands, and `run`
roles     ventilator, worker and sink, each for a terminal of its own
engines   who works on a batch: our workers, or a Dask cluster
options   what the commands share
display   a batch before the eyes of a person: progress draws it, account
          counts it, report and gallery are files about it
dry_run   what a run would do
signals   Ctrl-C once and twice
"""
