"""How nodes join: auth keys, logins, request decoding, what survives a restart."""
