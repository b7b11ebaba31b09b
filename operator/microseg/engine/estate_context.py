"""What all hosts of the estate share, built from spec and snapshots before each round of decisions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from microseg.engine.state.host_table import HostTable
from microseg.engine.state.snapshots import IllumioSnapshot
from microseg.model.checkpoint_facts import EnforcementPoint
from microseg.model.estate import Estate
from microseg.model.estate_spec import Mode, Retirement
from microseg.model.fields import seconds
from microseg.model.illumio_facts import PairingProfile
from microseg.model.networks import parsed
from microseg.model.spelling import Spellings, fold, same_name
from microseg.planning.approvals import standing
from microseg.planning.install_window import opens
from microseg.stages.context import EstateContext, Policy, RetirementBounds, Timing
from microseg.stages.policy import disputed_target

_LIFE = (600, 3600)
"""Seconds that a pairing key must and may live: long enough for Azure to begin, short enough to be worth little."""


@dataclass(frozen=True, slots=True)
class InstallFacts:
    """What is known of the latest installs of the policy."""

    failures: Mapping[str, str] = field(default_factory=dict)
    """Target -> why its latest install failed."""
    doubts: Mapping[str, str] = field(default_factory=dict)
    """Target -> why nobody knows how its latest install ended."""
    refused: Mapping[str, tuple[str, datetime]] = field(default_factory=dict)
    """Target -> why Check Point refused to begin its latest install, and when that is tried again."""
    untaken: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    """(Package, target) whose installs succeed and are not shown -> when the next one is tried."""


def estate_context(
    estate: Estate, table: HostTable, timing: Timing, now: datetime, installs: InstallFacts = InstallFacts()
) -> EstateContext:
    """What all hosts share as of now."""
    latest, spec, illumio, check_point = table.latest, estate.spec, table.latest.illumio, table.latest.check_point
    return EstateContext(
        owner_id=estate.owner_id,
        enforcing=estate.enforcing,
        adopting=estate.spec.mode == Mode.ADOPT,
        suspended=spec.suspend,
        enforcement_floor=spec.illumio.enforcement,
        create_labels=spec.illumio.create_labels,
        labels=illumio.labels if illumio else {},
        offline_after=seconds(spec.illumio.offline_after),
        illumio_read_at=illumio.read_at if illumio else None,
        illumio_ahead=illumio.ahead if illumio else timedelta(),
        profiles={os: profile(estate, illumio, os) for os in ("Windows", "Linux")},
        object_prefix=spec.check_point.object_prefix,
        all_addresses=spec.check_point.addresses != "primary",
        max_objects=spec.check_point.max_objects_per_host,
        networks={source.name: parsed(source.allowed_networks) for source in spec.azure.sources},
        allowed_groups=frozenset(spec.check_point.allowed_groups),
        last_revision=check_point.last if check_point else None,
        policies=policies(estate, table),
        groups=check_point.groups if check_point else {},
        gateways=check_point.gateways if check_point else {},
        install_failures=dict(installs.failures),
        install_doubts=dict(installs.doubts),
        install_refusals=dict(installs.refused),
        packages=frozenset(check_point.packages) if check_point else frozenset(),
        untaken_installs=dict(installs.untaken),
        window_opens=opens(spec.check_point.install_window, now),
        timing=timing,
        unreadable_rows=latest.azure.unreadable_rows if latest.azure else 0,
        unread=latest.azure.unread if latest.azure else frozenset(),
        subscriptions=frozenset(s.lower() for source in spec.azure.sources for s in source.subscriptions),
        azure_tags=spec.azure.tags,
        retirement=_retirement(spec.retirement),
        vouched=standing(latest.approvals, now),
    )


def _retirement(spec: Retirement) -> RetirementBounds:
    return RetirementBounds(
        enabled=spec.enabled,
        missed_polls=spec.missed_polls,
        after=seconds(spec.after),
        firewall_restore=spec.firewall_restore,
    )


def policies(estate: Estate, table: HostTable) -> tuple[Policy, ...]:
    """The estate's packages and targets as Check Point spells them; no targets: the gateways with the package.

    Beside them those that had it and have no policy at all now, such as one that was set up anew: they are late.
    """
    gateways = table.latest.check_point.gateways if table.latest.check_point else {}
    listed = table.latest.check_point.packages if table.latest.check_point else {}
    spellings = Spellings([*listed, *(gateway.policy for gateway in gateways.values())])
    by_uid = {fold(uid): name for name, uid in listed.items() if uid}
    named: dict[str, tuple[str, ...]] = {}
    for policy in estate.spec.check_point.policies:  # one package may be there by its name and by its uid
        package = by_uid.get(fold(policy.package)) or spellings.of(policy.package)
        targets = (*named.get(package, ()), *_targets(policy.targets, gateways))
        named[package] = tuple(dict.fromkeys(targets))
    claims = Counter(target for targets in named.values() for target in targets)
    found = []
    for package, targets in named.items():
        shown = {gateway.name for gateway in gateways.values() if gateway.policy == package}
        implied = sorted((shown | _bare(estate, package, gateways)) - claims.keys()) if not targets else ()
        disputed = tuple(target for target in targets if claims[target] > 1)
        found.append(Policy(package, (*(each for each in targets if claims[each] == 1), *implied), disputed))
    return tuple(found)


def _bare(estate: Estate, package: str, gateways: Mapping[str, EnforcementPoint]) -> set[str]:
    """Targets of the package by the Estate's status that have no policy now. One with another package is left to it."""
    recorded = {each.target for each in estate.status.targets if same_name(each.package, package)}
    return {name for name in recorded if name in gateways and not gateways[name].policy}


def _targets(named: Iterable[str], gateways: Mapping[str, EnforcementPoint]) -> tuple[str, ...]:
    """Names of the gateways that an Estate means: by name in any letter case, by uid, or by a group that they are in.

    What Check Point does not show stays as it was written: it is told as a target that has no policy.
    """
    spellings = Spellings(gateways)
    by_uid = {fold(gateway.uid): gateway.name for gateway in gateways.values() if gateway.uid}
    members: defaultdict[str, list[str]] = defaultdict(list)
    for gateway in gateways.values():
        for group in gateway.groups:
            members[fold(group)].append(gateway.name)
    names: dict[str, None] = {}
    for name in named:
        spelled = spellings.of(name)
        if spelled not in gateways:
            spelled = by_uid.get(fold(name), spelled)
        names |= dict.fromkeys([spelled] if spelled in gateways else members.get(fold(name), [name]))
    return tuple(names)


def mistakes(estate: Estate, table: HostTable) -> tuple[str, ...]:
    """What the spec names and its system, which was read, does not have: one sentence each."""
    check_point, found = table.latest.check_point, []
    if check_point is not None:
        for policy in policies(estate, table):
            if check_point.packages and policy.package not in check_point.packages:
                found.append(f"spec.checkPoint.policies: Check Point has no package {policy.package}.")
            shown = check_point.gateways
            unknown = [target for target in policy.targets if shown and target not in shown]
            found += [f"spec.checkPoint.policies: Check Point has no gateway {target}." for target in unknown]
            found += [f"spec.checkPoint.policies: {disputed_target(target)}" for target in policy.disputed]
        groups = Spellings(check_point.groups)
        allowed = estate.spec.check_point.allowed_groups
        missing = [name for name in allowed if groups.of(name) not in check_point.groups]
        found += [f"spec.checkPoint.allowedGroups: the domain has no group {name}." for name in missing]
    if table.latest.illumio is not None:
        names = estate.spec.illumio.pairing_profiles
        known = table.latest.illumio.profiles
        for field_name, name in (("windows", names.windows), ("linux", names.linux)):
            if name and Spellings(known).of(name) not in known:
                where = f"spec.illumio.pairingProfiles.{field_name}"
                found.append(f"{where}: the PCE has no pairing profile {name}.")
    return tuple(dict.fromkeys(found))


def profile(estate: Estate, illumio: IllumioSnapshot | None, os: str) -> PairingProfile | str:
    """The checked pairing profile for an OS, or why it must not be used: one use per key, 10 to 60 minutes of life."""
    names = estate.spec.illumio.pairing_profiles
    name = names.windows if os == "Windows" else names.linux
    if not name:
        return f"The estate names no pairing profile for {os}: set spec.illumio.pairingProfiles.{os.lower()}."
    chosen = illumio.profiles.get(Spellings(illumio.profiles).of(name)) if illumio else None
    if chosen is None:
        return f"The PCE has no pairing profile named {name}."
    if not chosen.enabled:
        return f"Pairing profile {name} is disabled in the PCE."
    if chosen.uses_per_key != 1:
        return f"Keys of pairing profile {name} can be used more than once: set allowed uses per key to 1."
    if chosen.key_life is None or not _LIFE[0] <= chosen.key_life <= _LIFE[1]:
        return f"Keys of pairing profile {name} must live 10 to 60 minutes: set its key lifespan."
    return chosen
