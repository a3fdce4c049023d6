"""Live shows: a drawing of the deck that moves, and what moves it.

    play       what every show's process does: lines of JSON out, clicks in
    ping       a server is killed under three clients
    news       subscriptions go up, news comes down, also to a late window
    marks      a slow receiver behind PUSH and behind PUB
    plugins    a plugin crashes, lies and hangs
    pipeline   a worker of the image pipeline is killed
    paced      what its workers do: real work, no faster than a room can see
    shows      starts these processes, keeps what they tell, ends them
    web        the server: files, streams of events, start and kill
    recorder   plays a show with nobody there, and keeps its trace
    stage      puts a show on its slide, with a run that was recorded
    traces/    these runs, for when there is no server

The page's half is `player.js`, and a file for the drawing of each show: what
is seen is a function of the events and of one moment, so pause, back and
scrub need nothing of their own.
"""
