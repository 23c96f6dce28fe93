"""Commands for developers of control clients: the embedded server alone, and a test of any client against it."""
