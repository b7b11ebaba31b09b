"""Everything that a stage may look at: one host's record and facts, its estate's, and the time, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from microseg.model.condition import ConditionType
from microseg.model.facts import Gateway, Group, HostFacts, PairingProfile, Revision, Seen, Vm
from microseg.model.host import ManagedHost
from microseg.model.wanted import Wanted


@dataclass(frozen=True, slots=True)
class Timing:
    """The bounds of the effect protocol. Seconds."""

    key_life: float = 1800.0
    """Life of a pairing key; the profile's own is used where it is known."""
    sealing: float = 300.0
    """Added to the key's life: after that an attempt can no longer begin."""
    script_timeout: float = 1800.0
    """Azure ends the script after this."""
    grace: float = 600.0
    """Added to both: then an attempt is over whatever anybody says."""
    expected: float = 300.0
    """When a script is usually over: its first look."""
    look_pause: float = 15.0
    """At least this long between two looks at one run-command."""
    retry_pause: float = 60.0
    """Pause after a first failure; five times as long after each further one."""
    max_failures: int = 3
    """Known failures in a row before a person is asked."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy package with its resolved targets."""

    package: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RetirementBounds:
    """When a vanished VM's traces may be removed."""

    enabled: bool = True
    missed_polls: int = 3
    after: float = 900.0
    """Seconds."""
    firewall_restore: str = "saved"


@dataclass(frozen=True, slots=True)
class EstateView:
    """What all hosts of an estate share."""

    owner_id: str
    enforcing: bool = True
    suspended: bool = False
    """Whether a person froze the estate; it does not enforce then."""
    enforcement_floor: str = "visibility_only"
    create_labels: bool = True
    labels: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(key, value) -> href of every label in the PCE."""
    profiles: Mapping[str, PairingProfile | str] = field(default_factory=dict)
    """OS (`Windows`, `Linux`) -> the checked pairing profile, or the sentence why it must not be used."""
    object_prefix: str = "az-"
    all_addresses: bool = True
    allowed_groups: frozenset[str] = frozenset()
    """Empty: any."""
    groups: Mapping[str, Group] = field(default_factory=dict)
    last_revision: Revision | None = None
    policies: tuple[Policy, ...] = ()
    gateways: Mapping[str, Gateway] = field(default_factory=dict)
    install_failures: Mapping[str, str] = field(default_factory=dict)
    """Target -> what came of its latest install, as the rest of a sentence."""
    install_doubts: Mapping[str, str] = field(default_factory=dict)
    """Target -> why it is not known how far its latest install came."""
    window_opens: datetime | None = None
    """When the install window opens next; None: it is open."""
    timing: Timing = Timing()
    subscriptions: frozenset[str] = frozenset()
    """Lower case: all that the estate reads."""
    retirement: RetirementBounds = RetirementBounds()


@dataclass(frozen=True, slots=True)
class Situation:
    """One host at one time."""

    host: ManagedHost
    facts: HostFacts
    estate: EstateView
    wanted: Wanted | None
    """None: no mapping was ever accepted."""
    now: datetime
    held: frozenset[ConditionType] = frozenset()
    """Stages before this one that hold."""

    @property
    def vm_id(self) -> str:
        """The identity."""
        return self.host.spec.vm_id

    @property
    def vm(self) -> Vm | None:
        """The VM of the latest complete poll, if it is there."""
        return self.facts.azure.value if isinstance(self.facts.azure, Seen) else None

    def later(self, seconds: float) -> datetime:
        """The time that many seconds from now."""
        return self.now + timedelta(seconds=seconds)

    @property
    def held_up(self) -> str:
        """What held up this host's change at Check Point last time, as a further sentence; empty: nothing."""
        said = self.facts.held_up
        return f" It was held up last time: {said}." if said else ""

    @property
    def complaint(self) -> str:
        """What the PCE said when a change for this host was last tried, as a further sentence; empty: it took it."""
        said = self.facts.illumio_complaint
        return f" The PCE refused it last time: {said}" if said else ""
