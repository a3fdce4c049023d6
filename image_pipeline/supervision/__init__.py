"""Workers that may die: another process watches the one that decodes.

supervisor   times, ends, replaces and reports; one for both kinds
processes    workers that are processes
threads      workers that are threads of this process
worker_main  what runs in such a process
watched      a worker as its supervisor sees it
process      limits and promises of the operating system
sandbox      what a decoder may do
sink_thread  the sink of a run
"""
