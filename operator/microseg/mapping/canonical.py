"""The digest of a mapping: the same for the same meaning. Called by `parser` when it has a whole document.

Comments, layout, quoting, and the order of keys and of lists where order means nothing do not reach it; the order
of cases and of fromTag decides who wins, so it does. Change this form and every digest changes: revisions that
hosts and approvals name would no longer be found.
"""

from __future__ import annotations

import datetime
import hashlib
import json

from microseg.model.names import MAPPING_API_VERSION

from .document import AcceptedValues, Example, Group, LabelTable, MappingDocument, Override, When


def digest(mapping: MappingDocument) -> str:
    """SHA-256 of the canonical form, 64 hex digits."""
    form = {
        "apiVersion": MAPPING_API_VERSION,
        "name": mapping.name,
        "owner": mapping.owner,
        "labels": {key: _table(table) for key, table in mapping.tables.items()},
        "overrides": sorted((_override(each) for each in mapping.overrides), key=_dumped),
        "groups": {group.name: _group(group) for group in mapping.groups},
        "tests": [_example(example) for example in mapping.tests],
    }
    return hashlib.sha256(_dumped(form).encode("ascii")).hexdigest()


def _dumped(form: object) -> str:
    return json.dumps(form, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _table(table: LabelTable) -> dict[str, object]:
    return {
        "fromTag": list(table.from_tag),
        "normalize": sorted(table.normalize),
        "values": dict(table.values),
        "oneOf": sorted(table.one_of),
        "cases": [{"name": case.name, "when": _when(case.when), "value": case.value} for case in table.cases],
        "default": table.default,
        "onMiss": str(table.on_miss),
    }


def _when(when: When) -> dict[str, object]:
    return {
        "tags": _accepted_values(when.tags),
        "notTags": _accepted_values(when.not_tags),
        "name": sorted(when.name),
        "location": sorted(when.location),
        "resourceGroup": sorted(when.resource_group),
        "subscription": sorted(when.subscription),
        "os": sorted(when.os),
        "labels": _accepted_values(when.labels),
    }


def _accepted_values(accepted: AcceptedValues) -> dict[str, list[str]]:
    return {key: sorted(values) for key, values in accepted.items()}


def _override(override: Override) -> dict[str, object]:
    return {
        "vmId": override.vm_id,
        "labels": dict(override.labels),
        "reason": override.reason,
        "until": override.until.astimezone(datetime.UTC).isoformat(),
    }


def _group(group: Group) -> dict[str, object]:
    return {
        "when": _when(group.when),
        "normalize": sorted(group.normalize),
        "subscriptions": sorted(group.subscriptions),
    }


def _example(example: Example) -> dict[str, object]:
    subject = example.subject
    return {
        "name": example.name,
        "given": [
            subject.name,
            subject.location,
            subject.resource_group,
            subject.subscription,
            subject.os,
            subject.vm_id,
        ],
        "tags": sorted(list(pair) for pair in subject.tags),
        "current": dict(example.current),
        "labels": dict(example.labels),
        "groups": None if example.groups is None else sorted(example.groups),
        "holds": None if example.holds is None else sorted(example.holds),
    }
