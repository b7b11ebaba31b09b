"""One source of VMs: its subscriptions read whole, and run-commands started, looked at and deleted.

The Azure lane calls it from worker threads. Paths and api-versions: Azure/azure-rest-api-specs,
specification/compute/resource-manager/Microsoft.Compute/Compute (VirtualMachines_ListAll, VirtualMachineRunCommands)
and specification/network (NetworkInterfaces_ListAll).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from microseg.gateways import azure_ids, azure_reading, shapes, wire
from microseg.gateways.azure_credentials import CredentialMaker, Endpoints
from microseg.gateways.azure_errors import SYSTEM, Meaning, code_of, error_of, meaning_of
from microseg.gateways.azure_pipeline import Pipeline
from microseg.gateways.ports import OutcomeUnknown, Refused, Rejected, Script, Unreachable
from microseg.gateways.transport import Answer, Observe, clean, watch
from microseg.model.estate import Source
from microseg.model.facts import ABSENT, Absent, RunCommand, Vm, VmDetail
from microseg.model.secret import Secret

_COMPUTE = "api-version=2024-07-01"
_NETWORK = "api-version=2024-05-01"
_MOST_PAGES = 4000
"""Of one list: pages of 50 are seen, so this is 200,000 VMs (Azure/azure-rest-api-specs#13843)."""


@dataclass(frozen=True, slots=True)
class _Sweep:
    """What the latest complete list used and left out."""

    cost: int = 0
    problems: tuple[str, ...] = ()
    uniform: int = 0


class AzureArm:
    """`AzureGateway` over Resource Manager for one source of the estate."""

    def __init__(
        self,
        source: Source,
        maker: CredentialMaker,
        places: Endpoints,
        *,
        ca_file: str | None = None,
        limits: wire.Limits | None = None,
        observe: Observe | None = None,
    ) -> None:
        """`maker` and `places`: see `azure_credentials`. ValueError: a subscription is none; OSError: no CA file."""
        wrong = [text for text in source.subscriptions if not azure_ids.is_subscription(text)]
        if wrong:
            message = f"{clean(wrong[0], limit=64)!r} is not a subscription's id"
            raise ValueError(message)
        self._source = source
        self._subscriptions = {text.lower() for text in source.subscriptions}
        self._observe = observe
        self._pipeline = Pipeline(maker, places, ca_file=ca_file, limits=limits)
        self._sweep = _Sweep()
        self._sweeping = threading.Lock()

    def list_vms(self) -> tuple[Vm, ...]:
        """All VMs of all subscriptions, joined with the lists of NICs and of power states; complete, or an error.

        Two lists of one subscription are read one after the other: a VM that is in only one of them has no power state
        or no addresses yet.
        """
        with self._sweeping, watch(self._observe, SYSTEM, "list-vms"):
            found: dict[str, Vm] = {}
            problems: list[str] = []
            cost = uniform = 0
            for subscription in sorted(self._subscriptions):
                cost += self._read_subscription(subscription, found, problems)
                machines, pages = self._count_uniform(subscription, problems)
                uniform, cost = uniform + machines, cost + pages
            vms = _one_each(found.values(), problems)
            self._sweep = _Sweep(cost, tuple(problems), uniform)
            return vms

    def problems(self) -> tuple[str, ...]:
        """What the latest complete `list_vms` left out, a sentence an item."""
        return self._sweep.problems

    def uniform_members(self) -> int:
        """Machines of uniform scale sets in the latest complete `list_vms`, by the sets' own capacity."""
        return self._sweep.uniform

    def list_cost(self) -> int:
        """Pages of VM and scale set lists in the latest complete `list_vms`; 300 a minute and subscription are allowed.

        Source: learn.microsoft.com/azure/virtual-machines/compute-throttling-limits ("High cost get").
        """
        return self._sweep.cost

    def vm(self, resource_id: str) -> VmDetail | Absent:
        """One VM with its instance view. Absent only where Azure says so of the VM or its resource group."""
        path = self._path(resource_id)
        with watch(self._observe, SYSTEM, "vm"):
            answer = self._pipeline.send("GET", f"{path}?$expand=instanceView&{_COMPUTE}", effect=False)
            if _is_absent(answer):
                return ABSENT
            found = azure_reading.detail(_object(answer))
            if found is None:
                raise _unusual("a VM without a vmId")
            return found

    def run_commands(self, resource_id: str) -> tuple[RunCommand, ...]:
        """All managed run-commands of a VM (25 at most: MicrosoftDocs/azure-docs#117976), without instance views."""
        path = self._path(resource_id)
        with watch(self._observe, SYSTEM, "run-commands"):
            items, _ = self._list(f"{path}/runCommands?{_COMPUTE}")
            found = [azure_reading.run_command(item) for item in items]
            if any(command is None for command in found):
                raise _unusual("a run-command without a name")
            return tuple(command for command in found if command is not None)

    def run_command(self, resource_id: str, name: str) -> RunCommand | Absent:
        """One run-command with its instance view; output and states as Azure has them, which can lie."""
        path = self._path(resource_id, name)
        with watch(self._observe, SYSTEM, "run-command"):
            answer = self._pipeline.send("GET", f"{path}?$expand=instanceView&{_COMPUTE}", effect=False)
            if _is_absent(answer, child=True):
                return ABSENT
            found = azure_reading.run_command(_object(answer))
            if found is None:
                raise _unusual("a run-command without a name")
            return found

    def start_run_command(self, resource_id: str, script: Script) -> None:
        """PUT a managed run-command, once (effect of kind 3: the caller wrote its intent first).

        Named parameters are environment variables on Linux and parameters on Windows; protected ones never come back
        (learn.microsoft.com/azure/virtual-machines/run-command-overview). Any 2xx: accepted, unless it is not JSON:
        then something between Azure and here has answered, and nobody knows whether Azure was asked.
        """
        path = self._path(resource_id, script.name)
        if not script.text.strip():
            # An empty script runs Azure's sample and reports success (Azure/azure-cli#32286).
            raise _refuse("EmptyScript", "a run-command needs a script")
        with watch(self._observe, SYSTEM, "start-run-command"):
            answer = self._pipeline.send("PUT", f"{path}?{_COMPUTE}", effect=True, body=_order(script))
            if not answer.ok:
                raise error_of(answer, effect=True, secrets=tuple(script.protected.values()))
            if not answer.is_json:
                raise OutcomeUnknown("Azure was asked for a change, and what answered did not answer in JSON")

    def delete_run_command(self, resource_id: str, name: str) -> None:
        """Delete a run-command that is over (a running one would be killed); absent is fine. Repeatable."""
        path = self._path(resource_id, name)
        with watch(self._observe, SYSTEM, "delete-run-command"):
            answer = self._pipeline.send("DELETE", f"{path}?{_COMPUTE}", effect=True)
            if not answer.ok and not _is_absent(answer, effect=True, child=True):
                raise error_of(answer, effect=True)

    def close(self) -> None:
        """Close the connections."""
        self._pipeline.close()

    def _read_subscription(self, subscription: str, found: dict[str, Vm], problems: list[str]) -> int:
        """Add one subscription's VMs by lower-cased id; returns the pages of VM lists."""
        compute = f"/subscriptions/{subscription}/providers/Microsoft.Compute/virtualMachines?{_COMPUTE}"
        network = f"/subscriptions/{subscription}/providers/Microsoft.Network/networkInterfaces?{_NETWORK}"
        items, pages = self._list(compute)
        statuses, status_pages = self._list(f"{compute}&statusOnly=true")
        nics, _ = self._list(network)
        reader = azure_reading.VmReader(self._source.name, self._source.select, nics, statuses)
        for item in items:
            vm = reader.read(item, subscription)
            if vm is None:
                continue
            key = vm.record.resource_id.lower()
            if key in found and found[key].vm_id != vm.vm_id:
                raise _unusual("one VM id with two vmIds in one list")
            found[key] = vm
        problems += reader.problems
        return pages + status_pages

    def _count_uniform(self, subscription: str, problems: list[str]) -> tuple[int, int]:
        """Machines of a subscription's uniform scale sets, and pages read. A missing right to read them stops no poll.

        Source: VirtualMachineScaleSets_ListAll (`orchestrationMode`, `sku.capacity`) in the same specification.
        """
        url = f"/subscriptions/{subscription}/providers/Microsoft.Compute/virtualMachineScaleSets?{_COMPUTE}"
        try:
            sets, pages = self._list(url)
        except Refused:
            problems.append(f"the scale sets of subscription {subscription} may not be read and are not counted")
            return 0, 0
        return sum(azure_reading.uniform_members(item) for item in sets), pages

    def _list(self, url: str) -> tuple[list[object], int]:
        """All items of a list and its pages. An empty page in the middle is legal; a page without `value` is not."""
        items: list[object] = []
        seen = {url}
        for pages in range(1, _MOST_PAGES + 1):
            body = _object(self._pipeline.send("GET", url, effect=False))
            value, following = body.get("value"), body.get("nextLink")
            if not isinstance(value, list) or not isinstance(following, str | None):
                raise _unusual("an incomplete list")
            items += value
            if not following:
                return items, pages
            if following in seen:
                raise _unusual("a list that leads back to itself")
            seen.add(following)
            url = self._checked(following)
        raise _unusual("a list without an end")

    def _checked(self, link: str) -> str:
        """A next link of the configured origin: the token goes wherever the request goes."""
        try:
            own = wire.origin(link) == self._pipeline.origin
        except ValueError:
            own = False
        if not own:
            raise _unusual("a next link of another origin")
        return link

    def _path(self, resource_id: str, command: str | None = None) -> str:
        """The quoted path of a VM of this source, or of one of its run-commands."""
        parts = azure_ids.vm_id(resource_id)
        if parts is None or parts.subscription not in self._subscriptions:
            raise _refuse("ForeignId", "the id is not that of a VM of this source's subscriptions")
        if command is None:
            return parts.path
        if not azure_ids.is_command(command):
            raise _refuse("InvalidName", "the run-command's name has other characters than letters, digits, - and _")
        return f"{parts.path}/runCommands/{command}"


def _one_each(vms: Iterable[Vm], problems: list[str]) -> tuple[Vm, ...]:
    """One VM a vmId: while a VM moves between groups, Azure may show it under both ids."""
    found: dict[str, Vm] = {}
    for vm in sorted(vms, key=lambda vm: vm.record.resource_id.lower()):
        if vm.vm_id in found:
            problems.append(f"two listed VMs have the vmId {vm.vm_id}; one is left out")
        found.setdefault(vm.vm_id, vm)
    return tuple(found.values())


def _order(script: Script) -> dict[str, object]:
    """The body of a managed run-command (ComputeRP.json, VirtualMachineRunCommand)."""
    protected: dict[str, Secret] = dict(script.protected)
    return {
        "location": script.location,
        "tags": dict(script.tags),
        "properties": {
            "source": {"script": script.text},
            "parameters": [{"name": name, "value": value} for name, value in script.parameters.items()],
            "protectedParameters": [{"name": name, "value": value.reveal()} for name, value in protected.items()],
            "asyncExecution": False,
            "timeoutInSeconds": script.timeout,
            "treatFailureAsDeploymentFailure": False,
        },
    }


def _is_absent(answer: Answer, *, effect: bool = False, child: bool = False) -> bool:
    """Whether a 404 means that the thing is gone; raises what any other refusal means.

    `child`: a run-command, for which the provider itself answers, with a plain `NotFound`; nobody retires a VM by it.
    """
    if answer.ok:
        return False
    code = code_of(answer)[0]
    gone = meaning_of(answer.status, code) is Meaning.NOT_FOUND or (child and code == "NotFound")
    if answer.status == 404 and gone:
        return True
    raise error_of(answer, effect=effect)


def _object(answer: Answer) -> shapes.Json:
    """The JSON object of a successful read."""
    if not answer.ok:
        raise error_of(answer, effect=False)
    if not isinstance(answer.data, dict):
        raise _unusual("something that is not a JSON object")
    return answer.data


def _unusual(what: str) -> Unreachable:
    return Unreachable(f"Azure answered with {what}")


def _refuse(code: str, sentence: str) -> Rejected:
    return Rejected(f"the request was not sent: {sentence}", code, sentence)
