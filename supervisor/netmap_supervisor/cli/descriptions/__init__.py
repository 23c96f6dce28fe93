"""Commands that print what other programs have to know of this one. They need no daemon."""
