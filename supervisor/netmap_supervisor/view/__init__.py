"""What `run` shows: a live table or plain lines, in a process of its own."""
