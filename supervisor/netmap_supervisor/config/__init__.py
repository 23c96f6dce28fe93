"""Settings: the table of options, what each can hold, the four layers they come from, their documents."""
