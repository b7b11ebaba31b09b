"""The script of one attempt: the package's constant text, and this VM's checked values as its parameters."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from microseg import scripts
from microseg.engine.ground.ports import Clock
from microseg.engine.lanes.budgets import PacedWorkers
from microseg.engine.lanes.unspent_keys import PairingKey, UnspentKeys
from microseg.gateways.ports import IllumioGateway, Rejected
from microseg.model.agent_record import INSTALL, AgentRecord
from microseg.model.azure_facts import RunCommand, Vm
from microseg.model.illumio_facts import PairingProfile
from microseg.model.names import INTENT_TAG, OWNER_TAG, VM_ID_TAG
from microseg.model.script import Script
from microseg.model.secret import Secret
from microseg.scripts import Parameter
from microseg.stages.context import Timing


@dataclass(frozen=True, slots=True)
class PairingInputs:
    """What an attempt needs of the PCE."""

    gateway: IllumioGateway
    """Makes the keys."""
    profiles: Callable[[str], PairingProfile | str | None]
    """OS -> checked profile, or why there is none."""
    endpoint: str
    """host:port."""
    path_version: str
    """Version in the pairing script's URL; `18` is what the vendor's own collection uses
    (illumio/illumio.core, roles/ven)."""
    owner_id: str
    tags: Mapping[str, str] = field(default_factory=dict)
    """The estate's own, for what it creates in Azure."""


class ScriptBuilder:
    """Builds scripts, and makes the one-use key that an installer needs."""

    def __init__(self, pairing: PairingInputs, illumio: PacedWorkers, timing: Timing, clock: Clock) -> None:
        """`illumio`: the PCE's threads, within its budget. `timing`: when the script, and when Azure, ends it."""
        self._pairing, self._illumio, self._timing, self._clock = pairing, illumio, timing, clock
        self.unspent = UnspentKeys(clock)
        """Keys that Azure did not take along."""

    @property
    def tags(self) -> Mapping[str, str]:
        """The estate's tags on every run-command."""
        return self._pairing.tags

    def profile(self, os: str) -> PairingProfile | str | None:
        """The checked pairing profile for an OS, or why there is none."""
        return self._pairing.profiles(os)

    async def key(self, vm: Vm, record: AgentRecord) -> PairingKey | None:
        """The key of an installer: the one that its last start left, else a new one. None: a probe needs none.

        Raises GatewayError.
        """
        if record.mode != INSTALL:
            return None
        profile = self.profile(vm.record.os_type)
        if not isinstance(profile, PairingProfile):
            raise Rejected("the pairing profile may not be used any more")
        left = self.unspent.take(vm.vm_id, profile)
        if left is not None:
            return left
        now = self._clock()
        return PairingKey(await self._illumio.call(self._pairing.gateway.make_key, profile), profile, now)

    def build(self, vm: Vm, record: AgentRecord, key: PairingKey | None) -> Script:
        """The constant script with this VM's parameters, and the key of an installer."""
        protected: dict[str, Secret] = {Parameter.ACTIVATION_CODE: key.secret} if key is not None else {}
        assert record.seals_at is not None  # noqa: S101 - `_next` sets it
        assert record.intended_at is not None  # noqa: S101 - and this
        windows = vm.record.os_type == "Windows"
        return Script(
            name=record.run_command,
            location=vm.record.location,
            windows=windows,
            text=scripts.WINDOWS if windows else scripts.LINUX,
            parameters={
                Parameter.MODE: record.mode,
                Parameter.VM_ID: vm.vm_id,
                Parameter.PCE: self._pairing.endpoint,
                Parameter.PCE_PATH_VERSION: self._pairing.path_version,
                Parameter.PROFILE_ID: str(key.profile.number if key is not None else 0),
                Parameter.NOT_AFTER: str(int(record.seals_at.timestamp())),
                Parameter.DEADLINE: str(int(self._timing.pairing)),
                Parameter.NONCE: record.nonce,
            },
            protected=protected,
            timeout=int(self._timing.script_timeout),
            tags=_tags(self._pairing.tags, self._marks(vm, record.intended_at)),
        )

    def owns(self, vm: Vm, command: RunCommand) -> bool:
        """Whether a run-command carries our owner's tag and this VM's: only then was it ours to start."""
        shown = {name.lower(): value for name, value in command.tags.items()}
        return (shown.get(OWNER_TAG), shown.get(VM_ID_TAG, "").lower()) == (self._pairing.owner_id, vm.vm_id)

    def _marks(self, vm: Vm, intended_at: datetime) -> dict[str, str]:
        """Our own tags."""
        intent = str(int(intended_at.timestamp()))
        return {OWNER_TAG: self._pairing.owner_id, VM_ID_TAG: vm.vm_id, INTENT_TAG: intent}


def intended_at(command: RunCommand) -> datetime | None:
    """When the attempt of a run-command was intended, by the tag that it was started with; None: it has none."""
    shown = {name.lower(): value for name, value in command.tags.items()}.get(INTENT_TAG, "")
    return datetime.fromtimestamp(int(shown), UTC) if re.fullmatch(r"[0-9]{1,11}", shown) else None


def _tags(estate: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, str]:
    """The estate's tags and our own, which nothing replaces: names of tags ignore case."""
    taken = {name.lower() for name in ours}
    return {name: value for name, value in estate.items() if name.lower() not in taken} | dict(ours)
