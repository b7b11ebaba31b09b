"""Azure Resource Graph, read for what may have changed: constant queries, 1,000 rows a page, all subscriptions at once.

`azure/gateway.py` offers it to the lane. Nothing of it is taken for a fact (`model/azure_glimpse.py`). Sources, all at
learn.microsoft.com: rest/api/azureresourcegraph (Resources, 2021-03-01), azure/governance/resource-graph/concepts/
paging-results (`id` must be a column, or there is no next page; a page holds at most 1,000 rows) and .../concepts/
guidance-for-throttled-requests (15 queries in 5 s for one caller, the quota's headers, fewer than 300 subscriptions in
a query). That a caller needs no right but to read what is shown: .../resource-graph/overview, permissions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from itertools import islice

from microseg.gateways.azure import ids, parse
from microseg.gateways.azure.answers import object_of, unexpected
from microseg.gateways.azure.pipeline import Pipeline
from microseg.gateways.http.client import HttpResponse
from microseg.gateways.http.json_access import Json, get_number, get_objects, get_text
from microseg.gateways.http.volume import Volume
from microseg.gateways.http.wire import operation
from microseg.gateways.ports import Reading, Wait
from microseg.gateways.readings import in_turn
from microseg.model.azure_glimpse import Glimpse
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
_QUOTA, _RESETS = "x-ms-user-quota-remaining", "x-ms-user-quota-resets-after"
_CLOCK = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})(\.\d+)?")


class ResourceGraph:
    """What it shows of one source's subscriptions."""

    def __init__(self, source: Source, pipeline: Pipeline) -> None:
        """`pipeline`: signs in as the identity that reads."""
        self._source, self._pipeline = source, pipeline
        self._subscriptions = {text.lower() for text in source.subscriptions}

    def glimpses(self) -> Reading[tuple[Glimpse, ...]]:
        """One per VM that has an identity; complete as far as it says itself, or an error. Rows of others are left out.

        NICs are read first, so a VM that is made meanwhile has NICs that are not known, and not wrong ones.
        """
        volume = self._pipeline.volume()
        nics = yield from self._rows(_NICS, volume)
        vms = yield from self._rows(_VMS, volume)
        return tuple(self._glimpses(vms, nics))

    def _glimpses(self, vms: list[Json], nics: list[Json]) -> Iterator[Glimpse]:
        """The rows in the form of lists go through the parser of lists, so that equal things compare as equal."""
        rows = {get_text(row, "id").lower(): row for row in vms}
        statuses = [_status(row) for row in rows.values()]
        source = self._source
        parser = parse.VmParser(source.name, source.select, map(_nic, nics), statuses, source.recorded_tags)
        for row in rows.values():
            parts = ids.parse_vm_resource_id(get_text(row, "id"))
            if parts is None or parts.subscription not in self._subscriptions:
                continue
            vm = parser.parse(_vm(row), parts.subscription)
            if vm is not None:
                yield Glimpse.of(vm)

    def _rows(self, query: str, volume: Volume) -> Reading[list[Json]]:
        """All rows of a query, over all subscriptions."""
        found: list[Json] = []
        subscriptions = iter(sorted(self._subscriptions))
        while group := list(islice(subscriptions, _SUBSCRIPTIONS)):
            found += yield from self._rows_of(group, query, volume)
        return found

    def _rows_of(self, subscriptions: list[str], query: str, volume: Volume) -> Reading[list[Json]]:
        rows: list[Json] = []
        total, token, visited, pause = None, "", {""}, 0.0
        for _ in range(_MOST_PAGES):
            page = partial(self._page, subscriptions, query, token)
            body, pause = yield from in_turn(page, volume, Wait(pause, throttled=pause > 0))
            rows += get_objects(body, "data")
            counted = get_number(body, "totalRecords")
            total = counted if total is None or counted is None else min(total, counted)
            token = get_text(body, "$skipToken")
            if not token:
                _check_complete(rows, total)
                return rows
            if token in visited:
                raise unexpected("a query of Resource Graph that leads back to itself")
            visited.add(token)
        raise unexpected("a query of Resource Graph without an end")

    def _page(self, subscriptions: list[str], query: str, token: str) -> tuple[Json, float]:
        """One page, and for how many seconds no other may be asked for."""
        options: dict[str, object] = {"resultFormat": "objectArray", "$top": _ROWS}
        options |= {"$skipToken": token} if token else {}
        body = {"subscriptions": subscriptions, "query": query, "options": options}
        with operation("resource-graph"):
            response = self._pipeline.send("POST", _PATH, effect=False, body=body)
            answer = object_of(response)
            whole = isinstance(answer.get("data"), list) and get_number(answer, "totalRecords") is not None
            truncated = answer.get("resultTruncated") not in ("false", False)
            limited = response.header("x-ms-tenant-subscription-limit-hit").lower() == "true"
            if not whole or limited or (truncated and not get_text(answer, "$skipToken")):
                raise unexpected("a part of what was asked of Resource Graph")
            return answer, _pause_of(response)


def _pause_of(response: HttpResponse) -> float:
    """Seconds until the quota is filled again; 0: something of it is left."""
    clock = _CLOCK.fullmatch(response.header(_RESETS).strip())
    if response.header(_QUOTA).strip() != "0" or clock is None:
        return 0.0
    hours, minutes, seconds = (int(part) for part in clock.groups()[:3])
    return hours * 3600.0 + minutes * 60.0 + seconds + (1.0 if clock[4] else 0.0)


def _check_complete(rows: list[Json], total: int | None) -> None:
    """Raise Unreachable for fewer rows than every page counted: a row that was lost must not look like a change."""
    if total is None or len({get_text(row, "id").lower() for row in rows}) < total:
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
