"""For whatever is known of two VMs with one address: only a free address is taken (S14)."""

from __future__ import annotations

from tests.unit.planning.test_properties import bounded, wall_of, whatever

from lab.memory import samples as m
from microseg.model.desired import Desired
from microseg.model.facts import HostFacts, Presence
from microseg.model.host import ManagedHost
from microseg.model.plan import PutObject, ReleaseAddress
from microseg.planning.decide import decide
from microseg.stages.context import EstateContext


@bounded
@whatever
def test_only_an_address_that_its_holder_gave_up_is_taken_and_nothing_is_changed_while_two_live_with_it(
    host: ManagedHost, facts: HostFacts, estate: EstateContext, desired: Desired | None, *, repair: bool
) -> None:
    actions = decide(host, facts, estate, desired, m.NOW, repair=repair).actions
    rival = next((rival for rivals in facts.rivals.values() for rival in rivals), None)
    for action in actions:
        if isinstance(action, ReleaseAddress):
            assert rival is not None
            assert rival.presence in {Presence.WITHOUT_IT, Presence.GONE}
    if rival is None or rival.presence is not Presence.HAS_IT:
        return
    theirs = [item for item in wall_of(facts).address_clashes.get(m.IP, ()) if item.groups]
    ours = [item for item in wall_of(facts).own if item.groups and item.address == m.IP]
    if theirs and not ours:
        assert not [each for each in actions if isinstance(each, PutObject) and each.address == m.IP]
