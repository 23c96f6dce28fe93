"""Where the control server is and which key is its own: URL, proxy, Noise key. Pure."""
