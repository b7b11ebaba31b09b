"""What all hosts of the estate share, built from the spec and the readings before each round of decisions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from microseg.estate.ledger import Ledger
from microseg.estate.readings import PceReading
from microseg.model.estate import Estate, InstallWindow, seconds
from microseg.model.facts import PairingProfile
from microseg.stages.situation import EstateView, Policy, RetirementBounds, Timing

_LIFE = (600, 3600)
"""Seconds that a pairing key must and may live: long enough for Azure to begin, short enough to be worth little."""
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class EstateViews:
    """Makes the view."""

    def __init__(self, timing: Timing) -> None:
        """`timing`: the effect protocol's bounds."""
        self._timing = timing

    def view(
        self,
        estate: Estate,
        ledger: Ledger,
        now: datetime,
        *,
        install_failures: Mapping[str, str],
        install_doubts: Mapping[str, str],
    ) -> EstateView:
        """The view as of now."""
        spec, pce, firewall = estate.spec, ledger.pce, ledger.firewall
        return EstateView(
            owner_id=estate.owner_id,
            enforcing=estate.enforcing,
            suspended=spec.suspend,
            enforcement_floor=spec.illumio.enforcement,
            create_labels=spec.illumio.create_labels,
            labels=pce.labels if pce else {},
            profiles={os: profile(estate, pce, os) for os in ("Windows", "Linux")},
            object_prefix=spec.check_point.object_prefix,
            all_addresses=spec.check_point.addresses != "primary",
            allowed_groups=frozenset(spec.check_point.allowed_groups),
            groups=firewall.groups if firewall else {},
            last_revision=firewall.last if firewall else None,
            policies=self.policies(estate, ledger),
            gateways=firewall.gateways if firewall else {},
            install_failures=dict(install_failures),
            install_doubts=dict(install_doubts),
            window_opens=opens(spec.check_point.install_window, now),
            timing=self._timing,
            subscriptions=frozenset(s.lower() for source in spec.azure.sources for s in source.subscriptions),
            retirement=RetirementBounds(
                enabled=spec.retirement.enabled,
                missed_polls=spec.retirement.missed_polls,
                after=seconds(spec.retirement.after),
                firewall_restore=spec.retirement.firewall_restore,
            ),
        )

    def policies(self, estate: Estate, ledger: Ledger) -> tuple[Policy, ...]:
        """The estate's packages; where it names no targets, the gateways that have the package now."""
        gateways = ledger.firewall.gateways if ledger.firewall else {}
        return tuple(
            Policy(
                policy.package,
                policy.targets or tuple(sorted(g.name for g in gateways.values() if g.policy == policy.package)),
            )
            for policy in estate.spec.check_point.policies
        )


def profile(estate: Estate, pce: PceReading | None, os: str) -> PairingProfile | str:
    """The checked pairing profile for an OS, or why it must not be used: one use a key, 10 to 60 minutes of life."""
    names = estate.spec.illumio.pairing_profiles
    name = names.windows if os == "Windows" else names.linux
    if not name:
        return f"The estate names no pairing profile for {os}: set spec.illumio.pairingProfiles.{os.lower()}."
    found = pce.profiles.get(name) if pce else None
    if found is None:
        return f"The PCE has no pairing profile named {name}."
    if not found.enabled:
        return f"Pairing profile {name} is disabled in the PCE."
    if found.uses_per_key != 1:
        return f"Keys of pairing profile {name} can be used more than once: set allowed uses per key to 1."
    if found.key_life is None or not _LIFE[0] <= found.key_life <= _LIFE[1]:
        return f"Keys of pairing profile {name} must live 10 to 60 minutes: set its key lifespan."
    return found


def opens(window: InstallWindow | None, now: datetime) -> datetime | None:
    """When the install window opens next; None: it is open now, or there is none."""
    if window is None:
        return None
    try:
        local = now.astimezone(ZoneInfo(window.time_zone))
    except (ZoneInfoNotFoundError, ValueError):
        return now + timedelta(hours=1)
    for minutes in range(8 * 24 * 60):
        at = local + timedelta(minutes=minutes)
        if _within(window, at):
            return None if minutes == 0 else (now + timedelta(minutes=minutes)).replace(second=0, microsecond=0)
    return now + timedelta(days=8)


def _within(window: InstallWindow, at: datetime) -> bool:
    """Whether policy may be installed at this local time. A window past midnight belongs to the day it began."""
    text = at.strftime("%H:%M")
    today = _DAYS[at.weekday()]
    yesterday = _DAYS[at.weekday() - 1]
    allowed = set(window.days) or set(_DAYS)
    if window.start <= window.end:
        return today in allowed and window.start <= text < window.end
    return (today in allowed and text >= window.start) or (yesterday in allowed and text < window.end)
