"""Which times `explain` shows: those that the running operator was started with, or the defaults and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from microseg.kube.deployments import OperatorDeployment
from microseg.settings import SettingsError, load
from microseg.stages.context import Timing

_READ = ("MICROSEG_INSTALLER_EXPECTED", "MICROSEG_LOOK_PAUSE", "MICROSEG_RETRY_PAUSE", "envFrom")
"""What decides times. A Deployment that takes one of these from another object does not show its value."""
_DEFAULT = Timing()


@dataclass(frozen=True, slots=True)
class Times:
    """The bounds of the effect protocol, and where they come from."""

    timing: Timing = _DEFAULT
    source: str = ""
    """The Deployment that has them, as namespace/name; empty: they are the defaults."""
    why: str = ""
    """Why they are the defaults, as the rest of a sentence."""

    @property
    def notice(self) -> str:
        """A sentence for people where the times are the defaults; else empty."""
        return "" if self.source else f"Times are the defaults: {self.why}."


def unreadable(error: object) -> Times:
    """The defaults, because the cluster does not show the Deployment."""
    return Times(why=f"the Deployment microseg could not be read ({str(error).rstrip('.')})")


def of_deployments(deployments: Sequence[OperatorDeployment], namespace: str) -> Times:
    """The times of the one Deployment of the operator, or the defaults where it is missing or does not show them."""
    if not deployments:
        return Times(why=f"namespace {namespace} has no Deployment of the operator")
    if len(deployments) > 1:
        names = ", ".join(each.name for each in deployments)
        return Times(why=f"namespace {namespace} has several Deployments of the operator ({names})")
    (deployment,) = deployments
    indirect = [name for name in deployment.indirect if name in _READ]
    if indirect:
        return Times(why=f"the Deployment {deployment.name} takes {', '.join(indirect)} from another object")
    try:
        timing = load(deployment.environment).engine.timing
    except SettingsError as error:
        return Times(why=f"a setting of the Deployment {deployment.name} cannot be used ({error})")
    return Times(timing, f"{namespace}/{deployment.name}")
