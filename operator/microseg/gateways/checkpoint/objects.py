"""Host objects and memberships, written in the open session: only what differs, and only what is ours.

`checkpoint/gateway.py` writes through it. Parameters: chkp-antonr/checkpoint-api-ref jmd/add-host.j.md, set-host.j.md,
set-group.j.md.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from microseg.gateways.checkpoint import parse
from microseg.gateways.checkpoint.errors import DUPLICATE_ADDRESS, NOT_FOUND
from microseg.gateways.checkpoint.session import SessionClient
from microseg.gateways.http.client import sanitize
from microseg.gateways.http.json_access import Json, get_text
from microseg.gateways.ports import Busy, GatewayError, ObjectForm, OutcomeUnknown, Rejected


class ObjectWriter:
    """Writes through one session."""

    def __init__(self, client: SessionClient) -> None:
        self._client = client

    def put(self, form: ObjectForm) -> str:
        """Create or change one host object; returns its uid. Errors: see `CheckPointGateway.put_host`."""
        if form.uid:
            return self._change(form)
        body = new_host(form) | ({"groups": list(form.join)} if form.join else {})
        uid = get_text(self._write("add-host", body, form).get("uid"))
        if not uid:
            message = "Check Point created a host object and did not show it"
            raise OutcomeUnknown(message)
        return uid

    def _change(self, form: ObjectForm) -> str:
        """Send only what differs: a change to the same value would lock the object and count as a change.

        Source: issue 38 of CheckPointSW/CheckPointAnsibleMgmtCollection. Whether one call may both add and remove
        groups is not documented, so there are two.
        """
        current = self._client.call("show-host", {"uid": form.uid}, effect=False)
        if parse.owner_mark(current) != (form.owner, form.vm_id):
            raise foreign_object()
        groups = parse.groups_of(current)
        body: dict[str, object] = {}
        if form.name != get_text(current, "name"):
            body["new-name"] = form.name
        body |= _address_change(form.address, {host.address for host in parse.host_objects(current)})
        if get_text(current, "comments") != (comment := parse.owner_comment(form.owner, form.vm_id)):
            body["comments"] = comment
        join = [group for group in form.join if group not in groups]
        leave = [group for group in form.leave if group in groups]
        if body or join:
            body |= {"groups": {"add": join}} if join else {}
            written = self._write("set-host", {"uid": form.uid, **body}, form)
            _check_address(form.address, {host.address for host in parse.host_objects(written)})
        if leave:
            self._write("set-host", {"uid": form.uid, "groups": {"remove": leave}}, form)
        return form.uid

    def _write(self, command: str, body: Json, form: ObjectForm) -> Json:
        """Write a host object. A duplicate address is only a warning, which is ignored if the form allows it."""
        try:
            return self._client.call(command, body, effect=True)
        except Rejected as error:
            if error.code != DUPLICATE_ADDRESS or not form.allow_duplicate_address:
                raise
            return self._client.call(command, {**body, "ignore-warnings": True}, effect=True)
        except Busy as error:
            raise self._with_lock_holder(error, (*form.join, *form.leave)) from None

    def leave(self, uid: str, owner: str, groups: Collection[str] | None, vm_id: str = "") -> bool:
        """Take an object out of these of its groups, None: of all; returns whether there is such an object.

        By uid, after a look at its mark: its name may be another object's by now.
        """
        try:
            current = self._client.call("show-host", {"uid": uid}, effect=False)
        except Rejected as error:
            if error.code == NOT_FOUND:
                return False
            raise
        marked_owner, marked_vm = parse.owner_mark(current)
        if marked_owner != owner or (vm_id and marked_vm != vm_id):
            raise foreign_object()
        leave = [group for group in parse.groups_of(current) if groups is None or group in groups]
        if leave:
            try:
                self._client.call("set-host", {"uid": uid, "groups": {"remove": leave}}, effect=True)
            except Busy as error:
                raise self._with_lock_holder(error, leave) from None
        return True

    def add_members(self, group: str, names: Sequence[str]) -> None:
        """Add members by name (jmd/set-group.j.md). Busy names who locks the group, if that can be read."""
        try:
            self._client.call("set-group", {"name": group, "members": {"add": list(names)}}, effect=True)
        except Busy as error:
            raise self._with_lock_holder(error, (group,)) from None

    def _with_lock_holder(self, error: Busy, groups: Sequence[str]) -> Busy:
        """The same error, with who holds the lock: that is in the meta-info of the group, not in the error."""
        for group in groups if self._client.session is not None else ():
            try:
                body = self._client.call("show-group", {"name": group}, effect=False)
            except GatewayError:
                return error
            if holder := parse.lock_holder(body):
                return Busy(f"Group {sanitize(group, limit=64)} is locked by {holder}", holder)
        return error


def new_host(form: ObjectForm) -> dict[str, object]:
    """The fields of a new host object of ours, for a single call or a batch."""
    return {
        "name": form.name,
        "ip-address": form.address,
        "comments": parse.owner_comment(form.owner, form.vm_id),
        "tags": [parse.tag_name(form.owner)],
    }


def _address_change(address: str, shown: set[str]) -> dict[str, object]:
    """The fields that leave an object with this one address; none if it is so.

    `ip-address` sets one family and leaves the other as it is. An empty text takes an address off, as
    CheckPointSW/terraform-provider-checkpoint does it for a host whose `ipv6_address` was removed.
    """
    if shown == {address}:
        return {}
    kept, other = ("ipv6-address", "ipv4-address") if ":" in address else ("ipv4-address", "ipv6-address")
    if not any((":" in each) != (":" in address) for each in shown):
        return {"ip-address": address}
    return {kept: address, other: ""}


def _check_address(address: str, shown: set[str]) -> None:
    """Refuse what the server accepted and did not do: it would be tried again without an end."""
    if shown and shown != {address}:
        sentence = f"It accepted the change, and the object still has {', '.join(sorted(shown - {address}))}."
        raise Rejected("Check Point accepted a change and did not carry it out", "not-taken", sentence)


def foreign_object() -> Rejected:
    """Our own refusal to change an object that is not ours."""
    sentence = "The host object does not carry this owner's mark"
    return Rejected(sentence, "foreign-object", sentence)
