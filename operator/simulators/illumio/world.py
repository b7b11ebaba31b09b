"""One PCE: all its state and rules, without HTTP.

`simulators.illumio.create` makes it; routes, the control port and tests use its parts.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Self

from simulators.environment import Environment
from simulators.illumio.context import Context, Traits
from simulators.illumio.jobs import Jobs
from simulators.illumio.labels import Labels
from simulators.illumio.limits import Limits
from simulators.illumio.pairing import Pairing
from simulators.illumio.profiles import Profiles
from simulators.illumio.replica import Replica
from simulators.illumio.vens import Vens
from simulators.illumio.workloads import Workloads


@dataclass(slots=True)
class World:
    """One PCE organisation. `api_user` and `api_secret` are the key of `user` (an HREF)."""

    context: Context
    labels: Labels
    profiles: Profiles
    workloads: Workloads
    vens: Vens
    pairing: Pairing
    jobs: Jobs
    limits: Limits
    replica: Replica
    api_user: str
    api_secret: str
    user: str = "/users/1"
    key_dead_until: float = 0.0

    @classmethod
    def build(cls, environment: Environment, org_id: int, host: str, traits: Traits | None = None) -> Self:
        """Build a PCE with the four built-in label keys, a default pairing profile and one API key."""
        context = Context(environment, org_id, host, traits or Traits())
        labels = Labels(context)
        profiles = Profiles(context, labels)
        workloads = Workloads(context, labels)
        secret = environment.ledger.add_secret(secrets.token_hex(32))
        return cls(
            context=context,
            labels=labels,
            profiles=profiles,
            workloads=workloads,
            vens=Vens(context, workloads),
            pairing=Pairing(context, profiles, workloads),
            jobs=Jobs(context),
            limits=Limits(context),
            replica=Replica(context, workloads),
            api_user=f"api_{secrets.token_hex(8)}",
            api_secret=secret,
        )

    def reached_at(self, url: str) -> None:
        """Set the address that clients use (`https://name:port`), once the server listens."""
        self.context.host = url.removeprefix("https://").rstrip("/")

    def expire_key(self, seconds: float) -> None:
        """Make the API key invalid for these real seconds (0: until `revive_key`)."""
        self.key_dead_until = self.context.now() + seconds if seconds else float("inf")
        self.context.changed(f"API key {self.api_user} expired", "world.key-expired")

    def change_secret(self, secret: str) -> None:
        """Replace the API key's secret."""
        self.api_secret = self.context.environment.ledger.add_secret(secret)

    def revive_key(self) -> None:
        """Make the API key valid again."""
        self.key_dead_until = 0.0
        self.context.changed(f"API key {self.api_user} revived", "world.key-revived")

    @property
    def org_id(self) -> int:
        """The organisation's number."""
        return self.context.org_id

    @property
    def traits(self) -> Traits:
        """The switchable differences between PCEs."""
        return self.context.traits
