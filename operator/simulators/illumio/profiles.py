"""Pairing profiles and their keys: who may pair, how often, how long.

The agent's side (`pairing.py`) asks it to admit an activation code. Fields and limits: the Terraform provider
illumio-core (pairing_profile, pairing_keys) and the vendor's REST manual 24.5. Tokens of refused keys are ours.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from simulators.illumio.bodies import ProfileBody
from simulators.illumio.context import Context, caller
from simulators.illumio.errors import PceError, refuse, refuse_invalid, refuse_missing
from simulators.illumio.labels import Label, Labels
from simulators.illumio.references import References, pair_of

_SET_APART = {"labels", "external_data_set", "external_data_reference"}


@dataclass(slots=True)
class Profile:
    """One pairing profile. `allowed_uses_per_key` and `key_lifespan` (seconds): a number, or "unlimited"."""

    number: int
    href: str
    name: str
    created_at: str
    created_by: str
    updated_at: str
    updated_by: str
    enabled: bool = False
    is_default: bool = False
    description: str | None = None
    enforcement_mode: str = "visibility_only"
    enforcement_mode_lock: bool = True
    visibility_level: str = "flow_summary"
    visibility_level_lock: bool = True
    allowed_uses_per_key: int | str = "unlimited"
    key_lifespan: int | str = "unlimited"
    role_label_lock: bool = True
    app_label_lock: bool = True
    env_label_lock: bool = True
    loc_label_lock: bool = True
    log_traffic: bool = False
    log_traffic_lock: bool = True
    agent_software_release: str | None = None
    ven_type: str = "server"
    total_use_count: int = 0
    last_pairing_at: str | None = None
    external_data_set: str | None = None
    external_data_reference: str | None = None
    labels: dict[str, Label] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Key:
    """One pairing key; None: unlimited. `expires_at` is epoch seconds, not scaled."""

    profile: Profile
    uses_left: int | None
    expires_at: float | None

    def live(self, now: float) -> bool:
        """Whether it can still pair a workload."""
        return self.uses_left != 0 and (self.expires_at is None or now < self.expires_at)


class Profiles:
    """All pairing profiles and keys of the organisation."""

    def __init__(self, context: Context, labels: Labels) -> None:
        self._context = context
        self._labels = labels
        self._by_href: dict[str, Profile] = {}
        self._numbers = 0
        self._keys: dict[str, Key] = {}
        self._references = References()
        first = self.create(ProfileBody(enabled=True, name="Default (Servers)"))
        first.is_default = True

    def create(self, body: ProfileBody) -> Profile:
        """Create a profile; `enabled` is required."""
        if not isinstance(body.enabled, bool):
            refuse_invalid("Object missing required field `enabled` (schema ProfileBody)")
        self._numbers += 1
        context, who, now = self._context, caller.get().href, self._context.stamp()
        href = f"{context.org}/pairing_profiles/{self._numbers}"
        pair = self._references.check(body, href, None)
        name = body.name if isinstance(body.name, str) else f"Profile {self._numbers}"
        profile = Profile(self._numbers, href, name, now, who, now, who)
        self._fill(profile, body)
        self._references.hold(profile, pair)
        self._by_href[href] = profile
        context.changed(f"pairing profile {href} made: {profile.name}")
        context.event("pairing_profile.create", href, change="create")
        return profile

    def get(self, href: str) -> Profile:
        """Return the profile; 404."""
        profile = self._by_href.get(href)
        if profile is None:
            refuse_missing(href)
        return profile

    def all(self) -> Iterable[Profile]:
        """Every profile, oldest first."""
        return self._by_href.values()

    def update(self, href: str, body: ProfileBody) -> None:
        """Change a profile; existing keys keep their uses and lifetime."""
        profile = self.get(href)
        pair = self._references.check(body, href, pair_of(profile))
        self._fill(profile, body)
        self._references.hold(profile, pair)
        profile.updated_at, profile.updated_by = self._context.stamp(), caller.get().href
        self._context.changed(f"pairing profile {href} changed")
        self._context.event("pairing_profile.update", href)

    def delete(self, href: str) -> None:
        """Delete a profile and its keys."""
        profile = self.get(href)
        if profile.is_default:
            refuse("method_not_allowed_error", "the default pairing profile can't be deleted")
        self._revoke(profile)
        self._labels.replace_use(href, profile.labels, {})
        self._references.release(profile)
        del self._by_href[href]
        self._context.changed(f"pairing profile {href} deleted")
        self._context.event("pairing_profile.delete", href, change="delete")

    def make_key(self, href: str) -> str:
        """Create an activation code with the profile's uses and lifetime; only this call ever shows it."""
        profile, now = self.get(href), self._context.now()
        if not profile.enabled:
            refuse("pairing_profile_disabled", f"pairing profile {profile.name!r} is disabled")
        profile.keys = {code for code in profile.keys if self._keys[code].live(now)}
        if len(profile.keys) >= self._context.traits.live_keys_per_profile:
            refuse("hard_limit_exceeded", "hard limit reached: pairing keys of this profile")
        code = self._context.environment.ledger.add_secret(secrets.token_hex(33))
        uses, life = profile.allowed_uses_per_key, profile.key_lifespan
        self._keys[code] = Key(
            profile, uses if isinstance(uses, int) else None, now + life if isinstance(life, int) else None
        )
        profile.keys.add(code)
        self._context.changed(f"pairing key of {href} made")
        self._context.event("pairing_profile.create_pairing_key", href)
        return code

    def revoke_keys(self, href: str) -> None:
        """Revoke every key of the profile."""
        self._revoke(self.get(href))
        self._context.changed(f"pairing keys of {href} revoked")
        self._context.event("pairing_profile.delete_all_pairing_keys", href)

    def admit(self, code: str) -> Profile:
        """Use a code once; the error says why it is refused."""
        key = self._keys.get(code)
        if key is None:
            raise PceError(403, "activation_code_invalid", "the activation code is not valid")
        if not key.profile.enabled:
            raise PceError(403, "pairing_profile_disabled", "pairing with this profile is stopped")
        if key.expires_at is not None and self._context.now() >= key.expires_at:
            raise PceError(403, "activation_code_expired", "the activation code has expired")
        if key.uses_left == 0:
            raise PceError(403, "activation_code_used_up", "the activation code has no uses left")
        if key.uses_left is not None:
            key.uses_left -= 1
        key.profile.total_use_count += 1
        key.profile.last_pairing_at = self._context.stamp()
        if key.uses_left == 0:
            key.profile.keys.discard(code)
        return key.profile

    def _revoke(self, profile: Profile) -> None:
        for code in profile.keys:
            del self._keys[code]
        profile.keys.clear()

    def _fill(self, profile: Profile, body: ProfileBody) -> None:
        new = profile.labels if isinstance(body.labels, msgspec.UnsetType) else self._labels.resolve(body.labels)
        for name in body.__struct_fields__:
            value = getattr(body, name)
            if value is not msgspec.UNSET and name not in _SET_APART:
                setattr(profile, name, value)
        self._labels.replace_use(profile.href, profile.labels, new)
        profile.labels = new
