"""JSON Schemas of what is shown to other programs. `shapes` are the answers as types, `documents` the schemas of them.

Nothing is made from these types: the tests hold every answer against them, with no key beyond. Loaded by who asks for a
schema, and by nobody else.
"""
