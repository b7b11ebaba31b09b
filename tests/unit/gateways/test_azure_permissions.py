"""What roles allow: Azure's patterns, in any letter case, and what a role takes back."""

from __future__ import annotations

import pytest

from microseg.gateways.azure.permissions import Permission, lacking, permission

WRITE = "Microsoft.Compute/virtualMachines/runCommands/write"


@pytest.mark.parametrize(
    ("actions", "not_actions", "allowed"),
    [
        ((WRITE,), (), True),
        ((WRITE.lower(),), (), True),
        (("*",), (), True),
        (("Microsoft.Compute/*",), (), True),
        (("*/read",), (), False),
        (("Microsoft.Compute/virtualMachines/runCommands/*",), (WRITE.upper(),), False),
        (("Microsoft.Compute/virtualMachines/runCommands/[w]rite",), (), False),
        (("Microsoft.Compute/virtualMachines/runCommands/writ?",), (), False),
        ((), (), False),
    ],
)
def test_an_action_is_allowed_where_a_pattern_names_it_and_none_takes_it_back(
    actions: tuple[str, ...], not_actions: tuple[str, ...], allowed: bool
) -> None:
    assert Permission(actions, not_actions).allows(WRITE) is allowed


def test_what_one_role_takes_back_another_may_give() -> None:
    assert lacking([Permission(("*",), ("*/write",)), Permission((WRITE,))], [WRITE]) == ()
    assert lacking([], [WRITE]) == (WRITE,)


@pytest.mark.parametrize("item", [None, [], {"actions": "*"}, {"actions": [1, None]}, {}])
def test_what_is_no_list_of_texts_allows_nothing(item: object) -> None:
    assert not permission(item).allows(WRITE)
