"""What `microseg doctor` asks of the three systems: by reading, never by changing anything.

Each check is a call that the operator itself makes, so a permission that is missing shows here as it would later.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial

from microseg.build_gateways import EstateGateways
from microseg.cli import doctor_azure, doctor_mapping
from microseg.cli.findings import Finding, bad, doubt, good
from microseg.engine.estate_context import profile
from microseg.engine.state.snapshots import IllumioSnapshot
from microseg.gateways.ports import CheckPointGateway, GatewayError, ProxyFailed, Refused
from microseg.gateways.readings import whole
from microseg.mapping import MappingDocument
from microseg.model.estate import Estate
from microseg.model.estate_spec import Mode
from microseg.model.names import mark
from microseg.model.spelling import fold

_SKEW = 30.0
"""Seconds."""
Step = Callable[[], Iterator[Finding]]


def check(estate: Estate, gateways: EstateGateways, document: MappingDocument | None) -> Iterator[Finding]:
    """Every system, each until its first failure. `document`: the mapping whose labels and groups must exist."""
    for source in estate.spec.azure.sources:
        for subscription in source.subscriptions:
            runs = estate.spec.mode != Mode.ADOPT
            step = partial(doctor_azure.check, source, gateways.azure[source.name], subscription, runs=runs)
            yield from _guarded(f"azure {source.name}", step)
        yield from doctor_azure.resource_graph(source, gateways.azure[source.name])
    yield from _guarded("illumio", lambda: _illumio(estate, gateways, document))
    yield from _guarded("checkpoint", lambda: _check_point(estate, gateways, document))


def _guarded(area: str, step: Step) -> Iterator[Finding]:
    try:
        yield from step()
    except Refused as error:
        yield bad(
            area, "token and rights", str(error), "correct the Secret, or grant the permissions of docs/security.md"
        )
    except ProxyFailed as error:
        yield bad(
            area, "reading", str(error), "correct the proxy in the spec, its Secret, or what the proxy lets through"
        )
    except GatewayError as error:
        yield bad(area, "reading", str(error), "see the line above it; try again when the system answers")


def _illumio(estate: Estate, gateways: EstateGateways, document: MappingDocument | None) -> Iterator[Finding]:
    pce = gateways.illumio
    labels, profiles = whole(pce.labels(), time.sleep), whole(pce.profiles(), time.sleep)
    yield good("illumio", "token and reading", f"organisation {estate.spec.illumio.org_id}: {len(labels)} labels")
    if document is not None:
        yield from doctor_mapping.labels(estate, document, labels)
    workloads = whole(pce.workloads(), time.sleep)
    yield good("illumio", "workloads", f"{len(workloads)} managed workloads can be read")
    snapshot = IllumioSnapshot.of(mark(estate.owner_id), workloads, labels, profiles, read_at=datetime.now(UTC))
    names = estate.spec.illumio.pairing_profiles
    for os in ("Linux", "Windows"):
        if getattr(names, os.lower()):
            found = profile(estate, snapshot, os)
            if isinstance(found, str):
                yield bad("illumio", f"pairing profile {os}", found, "correct the profile in the PCE")
            else:
                yield good(
                    "illumio", f"pairing profile {os}", f"{found.name}: one use, {found.key_life or 0:.0f} s of life"
                )
    theirs = pce.time()
    if theirs is not None:
        skew = abs((theirs - datetime.now(UTC)).total_seconds())
        text = f"the PCE's clock differs by {skew:.0f} s"
        yield good("illumio", "clock", text) if skew < _SKEW else bad("illumio", "clock", text, "run NTP on both")


def _check_point(estate: Estate, gateways: EstateGateways, document: MappingDocument | None) -> Iterator[Finding]:
    management, spec = gateways.check_point, estate.spec.check_point
    management.open("microseg-doctor")
    try:
        yield good("checkpoint", "token", f"logged in to domain {spec.domain or '(none)'}, with the right to write")
        points = whole(management.gateways(), time.sleep)
        groups = {fold(group.name) for group in whole(management.groups(), time.sleep)}
        yield good("checkpoint", "reading", f"{len(groups)} groups, {len(points)} gateways and servers")
        yield _tasks(management)
    finally:
        management.close()
    known = {fold(name) for point in points for name in (point.name, point.uid, *point.groups)}
    installed = {fold(point.policy) for point in points if point.policy}
    for policy in spec.policies:
        lacking = [name for name in policy.targets if fold(name) not in known]
        if lacking:
            text = f"{', '.join(lacking)} of package {policy.package} are not there"
            yield bad("checkpoint", "targets", text, "correct spec.checkPoint.policies")
        elif fold(policy.package) not in installed:
            text = f"{policy.package} is installed on no gateway now"
            yield doubt("checkpoint", "package", text, "is its name right? It must have been installed once by hand")
        else:
            yield good("checkpoint", "package", f"{policy.package} is installed, and its targets are there")
    missing = [name for name in spec.allowed_groups if fold(name) not in groups]
    if missing:
        yield bad("checkpoint", "groups", f"{', '.join(missing)} do not exist", "create them: the operator never does")
    if document is not None:
        yield from doctor_mapping.groups(estate, document, groups)


def _tasks(management: CheckPointGateway) -> Finding:
    """Whether the tasks of the administrator can be listed. The operator goes on without it, only slower."""
    try:
        listed = whole(management.own_tasks(), time.sleep).tasks
    except GatewayError as error:
        advice = "without the list, a lost answer of an install holds its package up for 30 minutes"
        return doubt("checkpoint", "tasks", str(error), advice)
    return good("checkpoint", "tasks", f"tasks can be listed: {len(listed)} of this administrator in the last day")
