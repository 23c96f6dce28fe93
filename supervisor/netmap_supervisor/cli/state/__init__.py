"""Commands that ask a daemon how it is, wait for it, or show a file it wrote."""
