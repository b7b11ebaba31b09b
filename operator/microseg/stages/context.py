"""Everything that a stage may look at: one host's record and facts, its estate's, and the time, as values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from microseg.model.approval import ApprovalAction
from microseg.model.azure_facts import Vm
from microseg.model.checkpoint_facts import EnforcementPoint, Group, Revision
from microseg.model.condition import ConditionType
from microseg.model.desired import Desired
from microseg.model.facts import HostFacts, Seen
from microseg.model.host import ManagedHost
from microseg.model.illumio_facts import PairingProfile
from microseg.model.networks import Network
from microseg.model.spelling import Spellings, same_name


@dataclass(frozen=True, slots=True)
class Timing:
    """The one table of the effect protocol's times, in seconds.

    Each bound lies before the one that counts on it: the script ends the vendor's script (`pairing`) before Azure ends
    the script (`script_timeout`), and that before the attempt is over (`grace` later, counted from the last moment at
    which it could begin).
    """

    key_life: float = 1800.0
    """Life of a pairing key; the profile's own is used where it is known."""
    sealing: float = 300.0
    """Added to the key's life: after that an attempt can no longer begin."""
    pairing: float = 1500.0
    """From its start until the script ends the vendor's script, which may take a minute to go; then its line."""
    script_timeout: float = 1800.0
    """Azure ends the script after this. What the script started lives on (Azure/run-command-handler-linux,
    internal/exec), but no longer than `pairing` and a minute."""
    grace: float = 600.0
    """Added to both: then an attempt is over in any case."""
    expected: float = 300.0
    """When a script is usually over: it is looked at then, and as often afterwards."""
    look_pause: float = 15.0
    """At least this long between two looks at one run-command."""
    retry_pause: float = 60.0
    """Pause after a first failure; five times as long after each further one."""
    max_failures: int = 3
    """Known failures in a row before a person must act."""

    @property
    def first_look(self) -> float:
        """When Azure usually shows whether a script began, and when it shows an end: 45 s at the default pace."""
        return min(3 * self.look_pause, self.expected)


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy package with its resolved targets."""

    package: str
    targets: tuple[str, ...]
    disputed: tuple[str, ...] = ()
    """Gateways that another package is to be installed on, too. A gateway has one: neither is installed on them."""


@dataclass(frozen=True, slots=True)
class RetirementBounds:
    """When a vanished VM's traces may be removed."""

    enabled: bool = True
    missed_polls: int = 3
    after: float = 900.0
    """Seconds."""
    firewall_restore: str = "saved"


@dataclass(frozen=True, slots=True)
class EstateContext:
    """What all hosts of an estate share."""

    owner_id: str
    enforcing: bool = True
    adopting: bool = False
    """Whether nothing may run on VMs: no run-command is started or deleted."""
    suspended: bool = False
    """Whether a person froze the estate; it does not enforce then."""
    enforcement_floor: str = "visibility_only"
    create_labels: bool = True
    offline_after: float = 0.0
    """Seconds without a heartbeat before a VEN that the PCE calls offline counts as offline."""
    illumio_read_at: datetime | None = None
    """When the latest complete reading of the PCE began; None: there is none."""
    illumio_ahead: timedelta = timedelta()
    """How far the PCE's clock is ahead of ours."""
    labels: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(key, value) -> href of every label in the PCE."""
    profiles: Mapping[str, PairingProfile | str] = field(default_factory=dict)
    """OS (`Windows`, `Linux`) -> the checked pairing profile, or the sentence why it must not be used."""
    object_prefix: str = "az-"
    all_addresses: bool = True
    max_objects: int = 16
    """Host objects of one VM."""
    networks: Mapping[str, tuple[Network, ...]] = field(default_factory=dict)
    """Name of a source -> the networks whose addresses may enter the firewall; not there: the private ones."""
    allowed_groups: frozenset[str] = frozenset()
    """Empty: any."""
    groups: Mapping[str, Group] = field(default_factory=dict)
    last_revision: Revision | None = None
    policies: tuple[Policy, ...] = ()
    gateways: Mapping[str, EnforcementPoint] = field(default_factory=dict)
    install_failures: Mapping[str, str] = field(default_factory=dict)
    """Target -> what came of its latest install, as the rest of a sentence."""
    install_doubts: Mapping[str, str] = field(default_factory=dict)
    """Target -> why it is not known how far its latest install came."""
    window_opens: datetime | None = None
    """When the install window opens next; None: it is open."""
    timing: Timing = Timing()
    subscriptions: frozenset[str] = frozenset()
    """Lower case: all that the estate reads."""
    azure_tags: Mapping[str, str] = field(default_factory=dict)
    """Tags that the estate puts on what it creates in Azure, beside its own two."""
    retirement: RetirementBounds = RetirementBounds()
    unreadable_rows: int = 0
    """Rows of Azure's latest list that name no VM that can be identified."""
    unread: frozenset[str] = frozenset()
    """Subscriptions that Azure's latest poll could not read: a VM that it does not show may be there."""
    packages: frozenset[str] = frozenset()
    """Names of all policy packages; empty: not known."""
    install_refusals: Mapping[str, tuple[str, datetime]] = field(default_factory=dict)
    """Target -> why Check Point refused to begin its latest install, and when that is tried again."""
    untaken_installs: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    """(Package, target) whose installs succeed and are not shown -> when the next one is tried."""
    vouched: frozenset[tuple[ApprovalAction, str]] = frozenset()
    """What persons vouch for by Approvals, each with its `what`."""
    _spellings: dict[str, Spellings] = field(default_factory=dict, init=False, repr=False, compare=False)

    def label_value(self, key: str, value: str) -> str:
        """A label's value as the PCE spells it; as it is given where the PCE has no such label."""
        if (key, value) in self.labels:
            return value
        return self._spelled(f"label {key}", lambda: (each for kind, each in self.labels if kind == key)).of(value)

    def group_name(self, name: str) -> str:
        """A group's name as the domain spells it; as it is given where the domain has no such group."""
        return name if name in self.groups else self._spelled("groups", lambda: self.groups).of(name)

    def allows(self, group: str) -> bool:
        """Whether the estate may use this group."""
        allowed = self.allowed_groups
        return not allowed or any(same_name(group, name) for name in allowed)

    def _spelled(self, what: str, names: Callable[[], Iterable[str]]) -> Spellings:
        """The index of these names, made when a name is first missed."""
        if what not in self._spellings:
            self._spellings[what] = Spellings(names())
        return self._spellings[what]


@dataclass(frozen=True, slots=True)
class HostContext:
    """One host at one time."""

    host: ManagedHost
    facts: HostFacts
    estate: EstateContext
    desired: Desired | None
    """None: no mapping was ever accepted."""
    now: datetime
    satisfied: frozenset[ConditionType] = frozenset()
    """Stages before this one that are satisfied."""

    def after(self, host: ManagedHost, satisfied: frozenset[ConditionType] = frozenset()) -> HostContext:
        """The context for the next stage: the record that the stages so far made, and those of them that hold."""
        return HostContext(host, self.facts, self.estate, self.desired, self.now, satisfied)

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
    def delay_notice(self) -> str:
        """What delayed this host's change at Check Point last time, as a further sentence; empty: nothing."""
        text = self.facts.held_up
        return f" The last try was delayed: {text}." if text else ""

    @property
    def refusal_notice(self) -> str:
        """The PCE's refusal of the last change for this host, as a further sentence; empty: it accepted it."""
        text = self.facts.illumio_complaint
        return f" The PCE refused it last time: {text}" if text else ""
