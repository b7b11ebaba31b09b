"""Stage 5: every target reports an installed revision that covers this host's published objects (S8)."""

from __future__ import annotations

from microseg.model.condition import ConditionType, Reason
from microseg.model.facts import Gateway, Unreadable
from microseg.model.plan import InstallPolicy
from microseg.model.verdict import Act, Blocked, Done, Verdict, Wait
from microseg.stages.situation import Policy, Situation


def judge(situation: Situation) -> Verdict:
    """Published is not installed: only the gateways' side counts."""
    if isinstance(situation.facts.firewall, Unreadable):
        return Wait(Reason.CHECK_POINT_UNREADABLE, "Check Point has not been read completely yet.", doubt=True)
    record = situation.host.status.check_point
    if ConditionType.GROUPED not in situation.held:
        return Wait(
            Reason.AWAITING_PUBLISH, "Nothing is installed before this host's objects are published.", moving=False
        )
    if record is None or not record.groups:
        return Done(
            Reason.NOTHING_TO_INSTALL, "The host stands in no group of ours, so no policy has to be installed for it."
        )
    if record.published_at is None:
        return Wait(
            Reason.AWAITING_PUBLISH,
            "Check Point does not tell which revision published this host's objects.",
            doubt=True,
        )
    if not situation.estate.policies:
        return Blocked(Reason.NO_POLICY_CONFIGURED, "The estate names no policy package: set spec.checkPoint.policies.")
    behind = late(situation)
    nowhere = [policy.package for policy in situation.estate.policies if not policy.targets]
    if nowhere and not behind:
        return Blocked(
            Reason.NO_POLICY_CONFIGURED,
            f"Package {nowhere[0]} is installed nowhere and the estate names no target for it: "
            "set spec.checkPoint.policies.",
        )
    if not behind:
        targets = sorted({target for policy in situation.estate.policies for target in policy.targets})
        return Done(Reason.INSTALLED, f"Installed on {', '.join(targets)}.")
    return _install(situation, behind)


def covers(gateway: Gateway | None, policy: Policy, situation: Situation) -> bool:
    """Whether the gateway's installed revision was published at or after this host's."""
    record = situation.host.status.check_point
    published = record.published_at if record is not None else None
    if gateway is None or published is None or gateway.policy != policy.package:
        return False
    if gateway.revision is not None:
        return gateway.revision.published_at >= published
    return gateway.installed_at is not None and gateway.installed_at > published


def late(situation: Situation) -> list[tuple[Policy, tuple[str, ...]]]:
    """Policies with targets whose installed revision does not cover this host, and those targets."""
    gateways = situation.estate.gateways
    found = (
        (policy, tuple(t for t in policy.targets if not covers(gateways.get(t), policy, situation)))
        for policy in situation.estate.policies
    )
    return [(policy, targets) for policy, targets in found if targets]


def _install(situation: Situation, behind: list[tuple[Policy, tuple[str, ...]]]) -> Verdict:
    """Ask for the installs, or say when the window opens."""
    names = ", ".join(sorted({target for _, targets in behind for target in targets}))
    opens = situation.estate.window_opens
    if opens is not None:
        return Wait(
            Reason.OUTSIDE_INSTALL_WINDOW,
            f"Published; {names} get the policy when the estate's install window opens.",
            until=opens,
            moving=False,
        )
    record = situation.host.status.check_point
    published = record.published_at if record is not None else None
    assert published is not None  # noqa: S101 - judged above
    actions = tuple(InstallPolicy(situation.vm_id, policy.package, policy.targets, published) for policy, _ in behind)
    failed = {t: m for _, targets in behind for t in targets if (m := situation.estate.install_failures.get(t))}
    if failed:
        target, message = min(failed.items())
        return Act(Reason.INSTALL_FAILED, f"{target} {message} It is installed again by itself.", actions)
    doubts = [m for _, targets in behind for t in targets if (m := situation.estate.install_doubts.get(t))]
    doubt = f" How far the latest install came is not known: {doubts[0]}. The gateways are looked at." if doubts else ""
    return Act(Reason.INSTALLING_POLICY, f"Published; the policy is being installed on {names}.{doubt}", actions)
