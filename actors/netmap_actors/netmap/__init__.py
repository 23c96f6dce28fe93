"""The netmap and its deltas: a pure engine that turns MapResponses into true differences.

Not here: sessions, sequence numbers, the bus (`publisher.publication`).
"""
