"""The policy of a tailnet: the file as people write it, and the rules it has."""

from netmap_actors.dev_control.tailnet.policy.rules import BadPolicy, Policy, Subject, parse_policy
from netmap_actors.dev_control.tailnet.policy.text import read_policy_text

__all__ = ["BadPolicy", "Policy", "Subject", "parse_policy", "read_policy_text"]
