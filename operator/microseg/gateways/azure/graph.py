"""Azure Resource Graph, read for what may have changed: constant queries, 1,000 rows a page, all subscriptions at once.

`azure/gateway.py` offers it to the lane. Nothing of it is taken for a fact (`model/azure_glimpse.py`). Sources, all at
learn.microsoft.com: rest/api/azureresourcegraph (Resources, 2021-03-01), azure/governance/resource-graph/concepts/
paging-results (`id` must be a column, or there is no next page; a page holds at most 1,000 rows) and .../concepts/
guidance-for-throttled-requests (15 queries in 5 s for one caller, the quota's headers, fewer than 300 subscriptions in
a query). That a caller needs no right but to read what is shown: .../resource-graph/overview, permissions.

Nearly every row is the same as at the look before, so rows stay the bytes that came: of each only what tells it apart
is decoded, and a digest says whether it is to be read at all.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import msgspec

from microseg.gateways.azure import ids, parse
from microseg.gateways.azure.answers import object_of, unexpected
from microseg.gateways.azure.pipeline import Pipeline
from microseg.gateways.http.client import HttpResponse
from microseg.gateways.http.json_access import Json, get_object, get_objects, get_text
from microseg.gateways.http.rows import Rows, decoded, decoded_as
from microseg.gateways.http.volume import Volume
from microseg.gateways.http.wire import operation
from microseg.gateways.ports import Reading, Wait
from microseg.gateways.readings import in_turn
from microseg.model.azure_glimpse import Glimpse, Sighting
from microseg.model.azure_spec import Source

_PATH = "/providers/Microsoft.ResourceGraph/resources?api-version=2021-03-01"
_VMS = (
    "Resources | where type =~ 'microsoft.compute/virtualmachines' | project id, location, zones, tags, "
    "vmId = properties.vmId, vmSize = properties.hardwareProfile.vmSize, "
    "osType = properties.storageProfile.osDisk.osType, computerName = properties.osProfile.computerName, "
    "networkInterfaces = properties.networkProfile.networkInterfaces, "
    "powerState = properties.extended.instanceView.powerState.code | order by id asc"
)
_NICS = (
    "Resources | where type =~ 'microsoft.network/networkinterfaces' | project id, isPrimary = properties.primary, "
    "ipConfigurations = properties.ipConfigurations | order by id asc"
)
_ROWS = 1000
"""Of one page: the most that is allowed."""
_MOST_PAGES = 400
_SUBSCRIPTIONS = 250
"""Of one query."""
_PART = "a part of what was asked of Resource Graph"
_QUOTA, _RESETS = "x-ms-user-quota-remaining", "x-ms-user-quota-resets-after"
_CLOCK = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})(\.\d+)?")


class _Page(msgspec.Struct, rename="camel"):
    """What to decode an answer into; one that does not fit is a part of what was asked."""

    data: Rows
    total_records: int
    result_truncated: object = None
    skip_token: str | None = msgspec.field(default=None, name="$skipToken")


class _Named(msgspec.Struct, rename="camel"):
    """What a row is told apart by, of whatever type it is."""

    id: object = None
    vm_id: object = None
    network_interfaces: object = None


@dataclass(frozen=True, slots=True)
class _Row:
    """One row, and what it is told apart by."""

    resource_id: str
    vm_id: str
    nics: tuple[str, ...]
    """Lower-cased ARM ids of its NICs."""
    whole: msgspec.Raw


_RowsById = dict[str, _Row]
"""By lower-cased ARM id; the last row of those with the same."""


class ResourceGraph:
    """What it shows of one source's subscriptions."""

    def __init__(self, source: Source, pipeline: Pipeline) -> None:
        """`pipeline`: signs in as the identity that reads."""
        self._source, self._pipeline = source, pipeline
        self._subscriptions = {text.lower() for text in source.subscriptions}
        self._read_by = repr((source.name, source.select, source.recorded_tags)).encode()

    def sightings(self) -> Reading[tuple[Sighting, ...]]:
        """One per VM; complete as far as it says itself, or an error. Rows of others are left out.

        NICs are read first, so a VM that is made meanwhile has NICs that are not known, and not wrong ones.
        """
        volume = self._pipeline.volume()
        nics = yield from self._rows(_NICS, volume)
        vms = yield from self._rows(_VMS, volume)
        return tuple(self._sightings(vms, nics))

    def _sightings(self, vms: _RowsById, nics: _RowsById) -> Iterator[Sighting]:
        for row in vms.values():
            parts = ids.parse_vm_resource_id(row.resource_id)
            if parts is None or parts.subscription not in self._subscriptions:
                continue
            own = [nics[nic_id] for nic_id in row.nics if nic_id in nics]
            yield Sighting(
                vm_id=row.vm_id,
                resource_id=row.resource_id,
                mark=self._mark(row, own),
                glimpse=partial(self._glimpse, row, own, parts.subscription),
            )

    def _mark(self, row: _Row, nics: Sequence[_Row]) -> bytes:
        """A digest of the rows, and of what decides how they are read."""
        mark = hashlib.blake2b(self._read_by, digest_size=16)
        for each in (row, *nics):
            mark.update(each.whole)
        return mark.digest()

    def _glimpse(self, row: _Row, nics: Sequence[_Row], subscription: str) -> Glimpse | None:
        """The rows in the form of lists go through the parser of lists, so that equal things compare as equal."""
        source, shown = self._source, get_object(decoded(row.whole))
        own = (_nic(get_object(decoded(each.whole))) for each in nics)
        parser = parse.VmParser(source.name, source.select, own, (_status(shown),), source.recorded_tags)
        vm = parser.parse(_vm(shown), subscription)
        return None if vm is None else Glimpse.of(vm)

    def _rows(self, query: str, volume: Volume) -> Reading[_RowsById]:
        """All rows of a query, over all subscriptions."""
        found: _RowsById = {}
        subscriptions = iter(sorted(self._subscriptions))
        while group := list(islice(subscriptions, _SUBSCRIPTIONS)):
            found |= yield from self._rows_of(group, query, volume)
        return found

    def _rows_of(self, subscriptions: list[str], query: str, volume: Volume) -> Reading[_RowsById]:
        rows: _RowsById = {}
        total, token, visited, pause = None, "", {""}, 0.0
        for _ in range(_MOST_PAGES):
            page = partial(self._page, subscriptions, query, token)
            body, pause = yield from in_turn(page, volume, Wait(pause, throttled=pause > 0))
            rows |= _by_id(body.data)
            total = body.total_records if total is None else min(total, body.total_records)
            token = body.skip_token or ""
            if not token:
                _check_complete(rows, total)
                return rows
            if token in visited:
                raise unexpected("a query of Resource Graph that leads back to itself")
            visited.add(token)
        raise unexpected("a query of Resource Graph without an end")

    def _page(self, subscriptions: list[str], query: str, token: str) -> tuple[_Page, float]:
        """One page, and for how many seconds no other may be asked for."""
        options: dict[str, object] = {"resultFormat": "objectArray", "$top": _ROWS}
        options |= {"$skipToken": token} if token else {}
        body = {"subscriptions": subscriptions, "query": query, "options": options}
        with operation("resource-graph"):
            response = self._pipeline.send("POST", _PATH, effect=False, body=body, into=_Page)
            page = response.data
            if not isinstance(page, _Page):
                object_of(response)
                raise unexpected(_PART)
            truncated = page.result_truncated not in ("false", False)
            limited = response.header("x-ms-tenant-subscription-limit-hit").lower() == "true"
            if limited or (truncated and not page.skip_token):
                raise unexpected(_PART)
            return page, _pause_of(response)


def _by_id(rows: Rows) -> _RowsById:
    """The rows that are objects. What tells one apart may be of any type: what is no text is none."""
    found: _RowsById = {}
    for whole in rows:
        named = decoded_as(_Named, whole)
        if named is not None:
            resource_id = get_text(named.id)
            nics = tuple(get_text(each, "id").lower() for each in get_objects(named.network_interfaces))
            found[resource_id.lower()] = _Row(resource_id, get_text(named.vm_id).lower(), nics, whole)
    return found


def _pause_of(response: HttpResponse) -> float:
    """Seconds until the quota is filled again; 0: something of it is left."""
    clock = _CLOCK.fullmatch(response.header(_RESETS).strip())
    if response.header(_QUOTA).strip() != "0" or clock is None:
        return 0.0
    hours, minutes, seconds = (int(part) for part in clock.groups()[:3])
    return hours * 3600.0 + minutes * 60.0 + seconds + (1.0 if clock[4] else 0.0)


def _check_complete(rows: Mapping[str, _Row], total: int) -> None:
    """Raise Unreachable for fewer rows than every page counted: a row that was lost must not look like a change."""
    if len(rows) < total:
        raise unexpected("fewer rows than Resource Graph counted")


def _nic(row: Json) -> Json:
    properties = {"primary": row.get("isPrimary"), "ipConfigurations": row.get("ipConfigurations")}
    return {"id": row.get("id"), "properties": properties}


def _status(row: Json) -> Json:
    view = {"statuses": [{"code": row.get("powerState")}]}
    return {"id": row.get("id"), "properties": {"instanceView": view}}


def _vm(row: Json) -> Json:
    return {
        "id": row.get("id"),
        "location": row.get("location"),
        "zones": row.get("zones"),
        "tags": row.get("tags"),
        "properties": {
            "vmId": row.get("vmId"),
            "hardwareProfile": {"vmSize": row.get("vmSize")},
            "storageProfile": {"osDisk": {"osType": row.get("osType")}},
            "osProfile": {"computerName": row.get("computerName")},
            "networkProfile": {"networkInterfaces": row.get("networkInterfaces")},
        },
    }
