"""What a client did, from what the server saw and the client believes, and whether that was right. Pure.

`observations` makes facts of events, `expectations` holds one step's against them, `assessment` is the verdict with its
sentence, `timelines` the account of who did what when.
"""
