"""The policy of a tailnet: the file as people write it, and the rules it has."""

from netmap_actors.dev_control.tailnet.policy.document import BadPolicy
from netmap_actors.dev_control.tailnet.policy.rules import Policy, parse_policy
from netmap_actors.dev_control.tailnet.policy.selectors import Subject
from netmap_actors.dev_control.tailnet.policy.text import read_policy_text

__all__ = ["BadPolicy", "Policy", "Subject", "parse_policy", "read_policy_text"]
