"""Commands for when something is wrong: what they write has pseudonyms in the place of names, keys and addresses."""
