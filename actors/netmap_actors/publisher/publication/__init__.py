"""The publisher's decisions: what is accepted, how it is numbered, kept, cut and answered. Pure.

Not here: sockets, subscribers' connections and timers (`publisher.actor`, `publisher.front`).
"""
