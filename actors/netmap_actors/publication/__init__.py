"""The pure half of the publisher: what is accepted, how it is numbered, kept, cut and answered.

It knows neither sockets nor clocks; `publisher` is the actor around it.
"""
