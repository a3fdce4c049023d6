"""Live shows: a drawing of the deck that moves, and what moves it.

    pipeline   the show's own process: a real run, told as lines of JSON
    paced      what its workers do: real work, no faster than a room can see
    shows      starts these processes, keeps what they tell, ends them
    web        the server: files, streams of events, start and kill
    recorder   plays a show with nobody there, and keeps its trace
    stage      puts a show on its slide, with a run that was recorded
    traces/    these runs, for when there is no server

The page's half is `player.js`: what is seen is a function of the events and
of one moment, so pause, back and scrub need nothing of their own.
"""
