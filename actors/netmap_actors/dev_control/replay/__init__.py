"""Playing a recorded session to clients: `player` (what is due when), `recorded_netmap` (what one client gets of it).

Not here: the file (`netmap_actors.recording`), and the streams it goes to (`operator.replay`).
"""
