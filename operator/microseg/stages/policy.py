"""Stage 5: every target reports an installed revision that covers this host's published objects (S8)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from microseg.model.checkpoint_facts import EnforcementPoint
from microseg.model.condition import ConditionType, Reason
from microseg.model.facts import Unreadable
from microseg.model.plan import InstallPolicy
from microseg.model.spelling import same_name
from microseg.model.verdict import Act, Blocked, Done, PolicyDifference, Verdict, Wait
from microseg.stages import untaken_installs
from microseg.stages.context import HostContext, Policy


def judge(context: HostContext) -> Verdict:
    """Published is not installed: only the gateways' side counts."""
    if isinstance(context.facts.check_point, Unreadable):
        return Wait(Reason.CHECK_POINT_UNREADABLE, "Check Point has not been read completely yet.", doubt=True)
    record, behind = context.host.status.check_point, late(context)
    if ConditionType.GROUPED not in context.satisfied:
        return Wait(
            Reason.AWAITING_PUBLISH,
            "Nothing is installed before this host's objects are published.",
            moving=False,
            differences=behind,
        )
    if record is None or not record.groups:
        return Done(
            Reason.NOTHING_TO_INSTALL,
            "The host is in no group of ours, so no policy needs to be installed for it.",
            differences=behind,
        )
    if record.published_at is None:
        return Wait(
            Reason.AWAITING_PUBLISH,
            "Check Point does not report which revision published this host's objects.",
            doubt=True,
            differences=behind,
        )
    if not behind and (wrong := _misconfigured(context)) is not None:
        return wrong
    if not behind:
        targets = sorted({target for policy in context.estate.policies for target in policy.targets})
        return Done(Reason.INSTALLED, f"Installed on {', '.join(targets)}.")
    return _install(context, behind)


def _misconfigured(context: HostContext) -> Blocked | None:
    """What of the policies in the spec keeps this from being protected, although nothing is to be installed."""
    policies = context.estate.policies
    if not policies:
        return Blocked(Reason.NO_POLICY_CONFIGURED, "The estate names no policy package: set spec.checkPoint.policies.")
    disputed = [target for policy in policies for target in policy.disputed]
    if disputed:
        return Blocked(Reason.NAMES_UNKNOWN, f"{disputed_target(disputed[0])} Mend spec.checkPoint.policies.")
    nowhere = [policy.package for policy in policies if not policy.targets]
    if nowhere:
        return Blocked(
            Reason.NO_POLICY_CONFIGURED,
            f"Package {nowhere[0]} is installed nowhere and the estate names no target for it: "
            "set spec.checkPoint.policies.",
        )
    return None


def disputed_target(target: str) -> str:
    """What is wrong with a gateway that two packages are to be installed on: each install would undo the other."""
    return f"{target} is a target of two packages, and a gateway has one: neither is installed on it."


def covers(gateway: EnforcementPoint | None, policy: Policy, context: HostContext) -> bool:
    """Whether the gateway's installed revision was published at or after this host's."""
    record = context.host.status.check_point
    published = record.published_at if record is not None else None
    if gateway is None or published is None or not same_name(gateway.policy, policy.package):
        return False
    if gateway.revision is not None:
        return gateway.revision.published_at >= published
    return gateway.installed_at is not None and gateway.installed_at > published


def late(context: HostContext) -> tuple[PolicyDifference, ...]:
    """Packages with targets whose installed revision does not cover this host."""
    if context.host.status.check_point is None:
        return ()
    gateways = context.estate.gateways
    return tuple(
        PolicyDifference(policy.package, policy.targets, behind)
        for policy in context.estate.policies
        if (behind := tuple(t for t in policy.targets if not covers(gateways.get(t), policy, context)))
    )


def _install(context: HostContext, behind: tuple[PolicyDifference, ...]) -> Verdict:
    """Request the installs, or report when the window opens."""
    targets = [target for each in behind for target in each.late]
    names = ", ".join(sorted(set(targets)))
    opens = context.estate.window_opens
    if opens is not None:
        return Wait(
            Reason.OUTSIDE_INSTALL_WINDOW,
            f"Published; {names} get the policy when the estate's install window opens.",
            until=opens,
            moving=False,
            differences=behind,
        )
    record = context.host.status.check_point
    published = record.published_at if record is not None else None
    assert published is not None  # noqa: S101 - judged above
    unknown = _unknown(context, behind)
    refused = _refused(context, targets)
    if (stopped := unknown.keys() | refused.keys()) >= set(targets):
        return _stopped(unknown, refused, behind)
    held = {each.package: untaken_installs.held(context, each.package, each.late) for each in behind}
    taking = [each for each in behind if set(each.late) - held[each.package].keys() - stopped]
    if not taking:
        package = next(each.package for each in behind if held[each.package])
        return replace(untaken_installs.blocked(context, package, held[package]), differences=behind)
    left = {each.package: tuple(t for t in each.targets if t not in {*held[each.package], *stopped}) for each in taking}
    actions = tuple(InstallPolicy(context.vm_id, each.package, left[each.package], published) for each in taking)
    failed = {target: text for target in targets if (text := context.estate.install_failures.get(target))}
    if failed:
        target, text = min(failed.items())
        message = f"{target} {text} It is installed again automatically."
        return Act(Reason.INSTALL_FAILED, message, actions, differences=behind)
    doubts = [text for target in targets if (text := context.estate.install_doubts.get(target))]
    doubt = (
        f" How far the latest install got is not known: {doubts[0]}. The operator checks tasks and gateways."
        if doubts
        else ""
    )
    message = f"Published; the policy is being installed on {names}.{doubt}"
    return Act(Reason.INSTALLING_POLICY, message, actions, differences=behind)


def _refused(context: HostContext, targets: list[str]) -> dict[str, tuple[str, datetime]]:
    """Targets on which Check Point refuses to begin an install -> its words, and when it is tried again."""
    refusals = context.estate.install_refusals.items()
    return {name: told for name, told in refusals if name in targets and told[1] > context.now}


def _unknown(context: HostContext, behind: tuple[PolicyDifference, ...]) -> dict[str, str]:
    """Targets that cannot get the policy, because they or its package do not exist -> the sentence why."""
    packages, gateways = context.estate.packages, context.estate.gateways
    found: dict[str, str] = {}
    for each in behind:
        if packages and each.package not in packages:
            found |= dict.fromkeys(each.late, f"Check Point has no package {each.package}.")
        elif gateways:
            found |= {name: f"Check Point has no gateway {name}." for name in each.late if name not in gateways}
    return found


def _stopped(
    unknown: dict[str, str], refused: dict[str, tuple[str, datetime]], behind: tuple[PolicyDifference, ...]
) -> Blocked:
    """Every target that is left needs a person."""
    if unknown:
        text = f"Published, and not installed: {unknown[min(unknown)]} Mend spec.checkPoint.policies."
        return Blocked(Reason.NAMES_UNKNOWN, text, differences=behind)
    target = min(refused)
    text, again = refused[target]
    message = f"Check Point refuses to install on {target}: {text.rstrip('.')}. It is tried again every 10 minutes."
    return Blocked(Reason.INSTALL_FAILED, message, again, differences=behind)
