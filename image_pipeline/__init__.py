"""PUSH/PULL: thumbnails of a big folder, and no image is ever lost.

    ventilator   pushes every file to some worker, until each has a receipt
    worker       pulls a task, works on it, pushes the results
    sink         pulls results, stores them, gives receipts
    run          the three together, on one machine

These are the pattern. They and the next five work for any bytes: to build
something else, copy them, and replace the rest.

    messages     what is on the wire, and what is refused
    outcome      how a file ends, and how a batch does
    delivery     at least once: what PUSH/PULL forgets
    supervision  workers that may die, and those who watch them
    transport    sockets, monitors, keys

    imaging      from bytes to pixels to bytes
    storage      files in, files out, and nothing of the user's is lost
    cluster      the same with the workers of a Dask scheduler
    cli          the command line
    demo         a worker is killed, and no image is lost
    __main__     python -m image_pipeline
"""
