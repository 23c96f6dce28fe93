"""What a change costs does not depend on the number of profiles, as it does not on that of peers."""

from __future__ import annotations

import timeit

import pytest

from netmap_actors.netmap.changes import Profile, ProfilesUpdate
from netmap_actors.netmap.profiles import Profiles

FEW, MANY = 100, 100_000
STRANGER = MANY + 1


def profile(user: int) -> Profile:
    return Profile(user, f"user-{user}", "", "", b"{}")


def shown(number: int) -> tuple[Profiles, dict[int, int]]:
    """So many profiles, to each of which one peer refers."""
    profiles, references = Profiles(), dict.fromkeys(range(1, number + 1), 1)
    given = [profile(user) for user in references]
    profiles.change(given, first=True, self_user=1, references=references, touched=references.keys())
    return profiles, references


@pytest.mark.parametrize("user", [2, STRANGER])
def test_a_peer_that_is_sent_again_costs_the_same_with_many_profiles(user: int) -> None:
    def least(number: int) -> float:
        profiles, references = shown(number)

        def change() -> None:
            changed = profiles.change([], first=False, self_user=1, references=references, touched={user})
            assert changed is None

        return min(timeit.repeat(change, number=10, repeat=20))

    assert least(MANY) < 50 * least(FEW), "a thousand times as many"


def test_a_profile_appears_with_the_first_peer_that_refers_to_it_and_goes_with_the_last() -> None:
    profiles, references = shown(FEW)

    def changed(touched: int, *given: Profile) -> ProfilesUpdate | None:
        return profiles.change(
            given, first=False, self_user=1, references=references, touched={touched} if touched else set()
        )

    assert changed(0, profile(STRANGER)) is None
    references[STRANGER] = 1
    assert changed(STRANGER) == ProfilesUpdate((profile(STRANGER),), ())
    assert changed(STRANGER) is None
    del references[STRANGER]
    assert changed(STRANGER) == ProfilesUpdate((), (STRANGER,))
    assert changed(STRANGER) is None
