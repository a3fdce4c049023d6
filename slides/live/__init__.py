"""Live shows: a drawing of the deck that moves, and what moves it.

    pipeline   the show's own process: a real run, told as lines of JSON
    paced      what its workers do: real work, no faster than a room can see
    shows      starts these processes, keeps what they tell, ends them
    web        what a page may ask for: a stream of events, start, kill
    stage      puts a show on its slide, with a run that was recorded
    traces/    these runs, for when there is no server

The page's half is `player.js`: what is seen is a function of the events and
of one moment, so pause, back and scrub need nothing of their own.
"""
