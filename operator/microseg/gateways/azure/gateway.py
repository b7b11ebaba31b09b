"""One source of VMs: its subscriptions are listed whole; run-commands are started, read and deleted.

The Azure lane and its script attempts call it from worker threads. Paths and api-versions: Azure/azure-rest-api-specs,
specification/compute/resource-manager/Microsoft.Compute/Compute (VirtualMachines_ListAll, VirtualMachineRunCommands)
and specification/network (NetworkInterfaces_ListAll).
"""

from __future__ import annotations

from functools import partial

from microseg.gateways.azure import ids, parse
from microseg.gateways.azure.answers import is_absent, object_of, unexpected
from microseg.gateways.azure.credentials import CredentialFactory, Endpoints
from microseg.gateways.azure.errors import error_of
from microseg.gateways.azure.graph import ResourceGraph
from microseg.gateways.azure.one_vm import read_vm
from microseg.gateways.azure.permissions import Permission, permission
from microseg.gateways.azure.pipeline import Pipeline
from microseg.gateways.azure.run_commands import run_command_body
from microseg.gateways.azure.versions import COMPUTE, NETWORK
from microseg.gateways.http import tls
from microseg.gateways.http.client import sanitize
from microseg.gateways.http.proxy import Proxy
from microseg.gateways.http.rows import Page, Rows, decoded, taken
from microseg.gateways.http.volume import Volume
from microseg.gateways.http.wire import Observe, operation
from microseg.gateways.ports import OutcomeUnknown, Reading, Refused, Rejected
from microseg.gateways.problems import bounded_problems
from microseg.gateways.readings import in_turn
from microseg.model.azure_facts import RunCommand, Vm, VmDetail, VmListing
from microseg.model.azure_glimpse import Sighting
from microseg.model.azure_spec import Source
from microseg.model.facts import ABSENT, Absent
from microseg.model.script import Script

_AUTHORIZATION = "api-version=2022-04-01"
_MOST_PAGES = 4000
"""Of one list: pages of 50 occur, so this is 200,000 VMs (Azure/azure-rest-api-specs#13843)."""


class AzureArmGateway:
    """`AzureGateway` over Resource Manager for one source of the estate."""

    def __init__(
        self,
        source: Source,
        credential_factory: CredentialFactory,
        endpoints: Endpoints,
        *,
        ca_file: str | None = None,
        limits: tls.Limits | None = None,
        observe: Observe | None = None,
        proxy: Proxy | None = None,
        run_commands: CredentialFactory | None = None,
    ) -> None:
        """`credential_factory` and `endpoints`: see `azure/credentials.py`. `run_commands`: for effects.

        ValueError: a subscription's id is none; OSError: no such CA file.
        """
        wrong = [text for text in source.subscriptions if not ids.is_subscription_id(text)]
        if wrong:
            message = f"{sanitize(wrong[0], limit=64)!r} is not the id of a subscription"
            raise ValueError(message)
        self._source = source
        self._subscriptions = {text.lower() for text in source.subscriptions}
        pipeline = partial(Pipeline, endpoints=endpoints, ca_file=ca_file, limits=limits, observe=observe, proxy=proxy)
        self._pipeline = pipeline(credential_factory)
        self._effects = self._pipeline if run_commands is None else pipeline(run_commands)
        self._graph = ResourceGraph(source, self._pipeline)

    def list_vms(self, subscription: str) -> Reading[VmListing]:
        """All VMs of a subscription, joined with its lists of NICs and of power states; complete, or an error.

        The lists are read one after the other: a VM that is not in all of them has a NIC that is not known, or no power
        state yet. `cost`: Azure allows 300 pages of these lists per minute and subscription
        (learn.microsoft.com/azure/virtual-machines/compute-throttling-limits, "High cost get").
        """
        vm_list = f"/subscriptions/{subscription}/providers/Microsoft.Compute/virtualMachines?{COMPUTE}"
        nic_list = f"/subscriptions/{subscription}/providers/Microsoft.Network/networkInterfaces?{NETWORK}"
        volume = self._pipeline.volume()  # all are held until the VMs are joined
        items, pages = yield from self._list(vm_list, volume)
        statuses, status_pages = yield from self._list(f"{vm_list}&statusOnly=true", volume)
        nics, nic_pages = yield from self._list(nic_list, volume)
        parser = parse.VmParser(self._source.name, self._source.select, nics, statuses, self._source.recorded_tags)
        vms = _by_id(parser, items, subscription)
        problems = parser.problems
        uniform, set_pages = yield from self._count_uniform(subscription, problems)
        return VmListing(
            vms=vms,
            unreadable_rows=len(parser.unreadable),
            unreadable=bounded_problems(parser.unreadable),
            problems=bounded_problems(problems),
            uniform_members=uniform,
            cost=pages + status_pages + set_pages,
            requests=pages + status_pages + set_pages + nic_pages,
        )

    def sightings(self) -> Reading[tuple[Sighting, ...]]:
        """What Resource Graph shows of the VMs of all its subscriptions (`azure/graph.py`)."""
        return self._graph.sightings()

    def read_vm(self, resource_id: str) -> Reading[Vm | Absent]:
        """One VM with its NICs, as the lists would show it (`azure/one_vm.py`)."""
        return read_vm(self._source, self._pipeline, self._own(resource_id))

    def vm(self, resource_id: str) -> VmDetail | Absent:
        """One VM with its instance view. Absent only if Azure says that the VM or its resource group does not exist."""
        path = self._path(resource_id)
        with operation("vm"):
            response = self._pipeline.send("GET", f"{path}?$expand=instanceView&{COMPUTE}", effect=False)
            if is_absent(response):
                return ABSENT
            detail = parse.vm_detail(object_of(response))
            if detail is None:
                raise unexpected("a VM without a vmId")
            return detail

    def run_commands(self, resource_id: str) -> tuple[RunCommand, ...]:
        """All managed run-commands of a VM (25 at most: MicrosoftDocs/azure-docs#117976), without instance views."""
        path = self._path(resource_id)
        commands = [parse.run_command(item) for item in self._list_at_once(f"{path}/runCommands?{COMPUTE}")]
        if any(command is None for command in commands):
            raise unexpected("a run-command without a name")
        return tuple(command for command in commands if command is not None)

    def run_command(self, resource_id: str, name: str) -> RunCommand | Absent:
        """One run-command with its instance view; its output and states are Azure's word, which can be wrong."""
        path = self._path(resource_id, name)
        with operation("run-command"):
            response = self._pipeline.send("GET", f"{path}?$expand=instanceView&{COMPUTE}", effect=False)
            if is_absent(response, child=True):
                return ABSENT
            command = parse.run_command(object_of(response))
            if command is None:
                raise unexpected("a run-command without a name")
            return command

    def start_run_command(self, resource_id: str, script: Script) -> None:
        """PUT a managed run-command (once: the caller has recorded its intent).

        Named parameters are environment variables on Linux and parameters on Windows; Azure never shows protected ones
        again (learn.microsoft.com/azure/virtual-machines/run-command-overview). Any 2xx with JSON, or without a body,
        means accepted. Anything else came from something between Azure and here, and may not have reached Azure.
        """
        path = self._path(resource_id, script.name)
        if not script.text.strip():
            # An empty script runs Azure's sample and reports success (Azure/azure-cli#32286).
            raise _not_sent("EmptyScript", "a run-command needs a script")
        with operation("start-run-command"):
            response = self._effects.send("PUT", f"{path}?{COMPUTE}", effect=True, body=run_command_body(script))
            if not response.ok:
                raise error_of(response, effect=True, secrets=tuple(script.protected.values()))
            if not response.is_json:
                raise OutcomeUnknown("Azure was asked for a change and the answer is not JSON")

    def delete_run_command(self, resource_id: str, name: str) -> None:
        """Delete a run-command that has ended (repeatable); an absent one is fine. A running one would be killed."""
        path = self._path(resource_id, name)
        with operation("delete-run-command"):
            response = self._effects.send("DELETE", f"{path}?{COMPUTE}", effect=True)
            if not response.ok and not is_absent(response, effect=True, child=True):
                raise error_of(response, effect=True)

    def permissions(self, resource_id: str) -> tuple[Permission, ...]:
        """What the roles of the identity for run-commands allow in a VM's group (Permissions_ListForResourceGroup)."""
        path = self._own(resource_id).group_path
        url = f"{path}/providers/Microsoft.Authorization/permissions?{_AUTHORIZATION}"
        return tuple(permission(decoded(item)) for item in self._list_at_once(url, "permissions", self._effects))

    def close(self) -> None:
        """Close the connections."""
        for pipeline in {self._pipeline, self._effects}:
            pipeline.close()

    def _count_uniform(self, subscription: str, problems: list[str]) -> Reading[tuple[int, int]]:
        """Machines of a subscription's uniform scale sets, and pages read. A missing permission is a problem, no error.

        Source: VirtualMachineScaleSets_ListAll (`orchestrationMode`, `sku.capacity`) in the same specification.
        """
        url = f"/subscriptions/{subscription}/providers/Microsoft.Compute/virtualMachineScaleSets?{COMPUTE}"
        try:
            sets, pages = yield from self._list(url, self._pipeline.volume())
        except Refused:
            problems.append(f"Scale sets of subscription {subscription} are not counted: Azure refused to list them")
            return 0, 0
        return sum(parse.uniform_members(item) for item in sets), pages

    def _list(self, url: str, volume: Volume) -> Reading[tuple[Rows, int]]:
        """All rows of a list, and its number of pages."""
        items: Rows = []
        visited = {url}
        for pages in range(1, _MOST_PAGES + 1):
            value, next_link = yield from in_turn(partial(self._page, url), volume)
            items += value
            if not next_link:
                return items, pages
            url = _unvisited(next_link, visited)
        raise unexpected("a list without an end")

    def _list_at_once(self, url: str, name: str = "run-commands", way: Pipeline | None = None) -> Rows:
        """A list that is a page or two."""
        items: Rows = []
        visited = {url}
        while True:
            value, next_link = self._page(url, name, way)
            items += value
            if not next_link:
                return items
            url = _unvisited(next_link, visited)

    def _page(self, url: str, name: str = "list-vms", way: Pipeline | None = None) -> tuple[Rows, str | None]:
        """The rows of one page, and the link to the next. A page may be empty, but not without `value`."""
        with operation(name):
            response = (way or self._pipeline).send("GET", url, effect=False, into=Page)
            if not isinstance(response.data, Page):
                object_of(response)
                raise unexpected("an incomplete list")
            return response.data.value, self._own_link(response.data.next_link) if response.data.next_link else None

    def _own_link(self, link: str) -> str:
        """The next link, if it is of the configured origin: the token goes wherever the request goes."""
        try:
            own = tls.origin(link) == self._pipeline.origin
        except ValueError:
            own = False
        if not own:
            raise unexpected("a next link of another origin")
        return link

    def _path(self, resource_id: str, command: str | None = None) -> str:
        """The quoted path of a VM of this source, or of one of its run-commands."""
        path = self._own(resource_id).path
        if command is None:
            return path
        if not ids.is_command_name(command):
            raise _not_sent("InvalidName", "the run-command's name has characters other than letters, digits, - and _")
        return f"{path}/runCommands/{command}"

    def _own(self, resource_id: str) -> ids.VmResourceId:
        """The parts of a VM's id."""
        parts = ids.parse_vm_resource_id(resource_id)
        if parts is None or parts.subscription not in self._subscriptions:
            raise _not_sent("ForeignId", "the id is not that of a VM in this source's subscriptions")
        return parts


def _by_id(parser: parse.VmParser, items: Rows, subscription: str) -> tuple[Vm, ...]:
    """The VMs of a list, one per ARM id: a VM may be listed twice while pages shift."""
    vms_by_id: dict[str, Vm] = {}
    for item in taken(items):
        vm = parser.parse(item, subscription)
        if vm is None:
            continue
        key = vm.record.resource_id.lower()
        if key in vms_by_id and vms_by_id[key].vm_id != vm.vm_id:
            raise unexpected("a list in which one VM has two vmIds")
        vms_by_id[key] = vm
    return tuple(vms_by_id.values())


def _unvisited(link: str, visited: set[str]) -> str:
    """The next link, remembered."""
    if link in visited:
        raise unexpected("a list that leads back to itself")
    visited.add(link)
    return link


def _not_sent(code: str, sentence: str) -> Rejected:
    return Rejected(f"The request was not sent: {sentence}", code, sentence)
