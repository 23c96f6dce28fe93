"""OTP's supervisor for any set of children: specifications, restart policy, strategies, the tree. Pure."""
