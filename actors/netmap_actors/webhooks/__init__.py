"""Webhooks: what the history keeps, sent to those who want to be told.

The history is the only journal: what is to be sent is read from it by cursor, and kept here are cursors and counts.
"""
