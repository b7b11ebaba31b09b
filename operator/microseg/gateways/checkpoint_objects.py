"""Writes host objects and memberships in the open session: only what differs, only what is ours, and says who locks.

Part of `checkpoint.py`. Parameters: chkp-antonr/checkpoint-api-ref jmd/add-host.j.md, set-host.j.md, set-group.j.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from microseg.gateways import checkpoint_reading as reading
from microseg.gateways import shapes
from microseg.gateways.checkpoint_errors import DUPLICATE_ADDRESS
from microseg.gateways.checkpoint_session import Conversation
from microseg.gateways.ports import Busy, GatewayError, ObjectForm, OutcomeUnknown, Rejected
from microseg.gateways.shapes import Json
from microseg.gateways.transport import clean


class Objects:
    """Writes through one conversation."""

    def __init__(self, talk: Conversation) -> None:
        self._talk = talk

    def put(self, form: ObjectForm) -> str:
        """Create or change one host object; returns its uid. Errors: see `CheckPointGateway.put_host`."""
        if form.uid:
            return self._change(form)
        body = new_host(form) | ({"groups": list(form.join)} if form.join else {})
        uid = shapes.text(self._write("add-host", body, form).get("uid"))
        if not uid:
            message = "Check Point made a host object and did not show it"
            raise OutcomeUnknown(message)
        return uid

    def _change(self, form: ObjectForm) -> str:
        """Send what differs only: a change to the same value would lock the object and count as one.

        Source: issue 38 of CheckPointSW/CheckPointAnsibleMgmtCollection. Whether one call may both add and remove
        groups is not documented, so these are two.
        """
        shown = self._talk.call("show-host", {"uid": form.uid}, effect=False)
        if reading.mark(shown)[0] != form.owner:
            raise foreign()
        groups = {group for host in reading.hosts(shown) for group in host.groups}
        body: dict[str, object] = {}
        if form.name != shapes.text(shown.get("name")):
            body["new-name"] = form.name
        if form.address not in {host.address for host in reading.hosts(shown)}:
            body["ip-address"] = form.address
        if shapes.text(shown.get("comments")) != (said := reading.comment(form.owner, form.vm_id)):
            body["comments"] = said
        join = [group for group in form.join if group not in groups]
        leave = [group for group in form.leave if group in groups]
        if body or join:
            body |= {"groups": {"add": join}} if join else {}
            self._write("set-host", {"uid": form.uid, **body}, form)
        if leave:
            self._write("set-host", {"uid": form.uid, "groups": {"remove": leave}}, form)
        return form.uid

    def _write(self, command: str, body: Json, form: ObjectForm) -> Json:
        """Write a host; a duplicate address is only a warning, and only where the form allows it is it ignored."""
        try:
            return self._talk.call(command, body, effect=True)
        except Rejected as error:
            if error.code != DUPLICATE_ADDRESS or not form.allow_duplicate_address:
                raise
            return self._talk.call(command, {**body, "ignore-warnings": True}, effect=True)
        except Busy as error:
            raise self._with_holder(error, (*form.join, *form.leave)) from None

    def set_members(self, group: str, way: Literal["add", "remove"], names: Sequence[str]) -> None:
        """Add or remove members by name (jmd/set-group.j.md). Busy names who locks the group, where it can be read."""
        try:
            self._talk.call("set-group", {"name": group, "members": {way: list(names)}}, effect=True)
        except Busy as error:
            raise self._with_holder(error, (group,)) from None

    def _with_holder(self, error: Busy, groups: Sequence[str]) -> Busy:
        """The same error with who holds the lock: it stands in the object's meta-info, not in the refusal."""
        for group in groups if self._talk.session is not None else ():
            try:
                shown = self._talk.call("show-group", {"name": group}, effect=False)
            except GatewayError:
                return error
            if found := reading.holder(shown):
                return Busy(f"group {clean(group, limit=64)} is locked by {found}", found)
        return error


def new_host(form: ObjectForm) -> dict[str, object]:
    """The fields of a new host object of ours, in a call of its own or in a batch."""
    return {
        "name": form.name,
        "ip-address": form.address,
        "comments": reading.comment(form.owner, form.vm_id),
        "tags": [reading.tag_name(form.owner)],
    }


def foreign() -> Rejected:
    """The refusal, by us, to touch what is not ours."""
    sentence = "the host object does not carry this owner's mark"
    return Rejected(sentence, "foreign-object", sentence)
