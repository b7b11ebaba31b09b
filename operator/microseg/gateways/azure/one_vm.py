"""One VM with its NICs, read by itself: what the lists would show of it, in two requests instead of hundreds.

`azure/gateway.py` offers it to the lane, which follows hints with it. Sources: Azure/azure-rest-api-specs,
VirtualMachines_Get with `$expand=instanceView`, and NetworkInterfaces_Get.
"""

from __future__ import annotations

from functools import partial

from microseg.gateways.azure import ids, parse
from microseg.gateways.azure.answers import is_absent, object_of, unexpected
from microseg.gateways.azure.pipeline import Pipeline
from microseg.gateways.azure.versions import COMPUTE, NETWORK
from microseg.gateways.http.json_access import Json, get_objects, get_text
from microseg.gateways.http.wire import operation
from microseg.gateways.ports import Reading, Refused
from microseg.gateways.readings import in_turn
from microseg.model.azure_facts import Vm
from microseg.model.azure_spec import Source
from microseg.model.facts import ABSENT, Absent


def read_vm(source: Source, pipeline: Pipeline, parts: ids.VmResourceId) -> Reading[Vm | Absent]:
    """The VM as a row of a list. Absent only if Azure says that it or its resource group does not exist.

    A NIC that is gone, or that may not be read, is one that the list of NICs would lack.
    """
    volume = pipeline.volume()
    body = yield from in_turn(partial(_get, pipeline, f"{parts.path}?$expand=instanceView&{COMPUTE}"), volume)
    if body is None:
        return ABSENT
    nics: list[object] = []
    for reference in get_objects(body, "properties", "networkProfile", "networkInterfaces")[: parse.MOST_NICS]:
        path = ids.nic_path(get_text(reference, "id"), parts.subscription)
        if path is not None:
            nics.append((yield from in_turn(partial(_nic, pipeline, f"{path}?{NETWORK}"), volume)))
    parser = parse.VmParser(source.name, source.select, nics, [body], source.recorded_tags)
    vm = parser.parse(body, parts.subscription)
    if vm is None:
        raise unexpected("a VM without a usable identity")
    return vm


def _nic(pipeline: Pipeline, url: str) -> Json | None:
    try:
        return _get(pipeline, url)
    except Refused:
        return None


def _get(pipeline: Pipeline, url: str) -> Json | None:
    """The resource; None: Azure says that there is none."""
    with operation("read-vm"):
        response = pipeline.send("GET", url, effect=False)
        return None if is_absent(response) else object_of(response)
