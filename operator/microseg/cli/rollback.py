"""`microseg rollback`: lists the accepted revisions, prints the document of one for a Git revert, or pins it.

Nothing is changed without `--pin` or `--unpin`. A pin is for emergencies: the Estate tells it loudly until it is gone.
"""

from __future__ import annotations

import sys

from microseg.cli import previewing
from microseg.cli.cluster import Cluster, Live
from microseg.cli.rendering import Lines, Report, Table, show
from microseg.cli.sorry import Sorry
from microseg.cli.where import Where
from microseg.kube.revisions import MappingRevision

_COLUMNS = ("number", "revision", "accepted", "commit", "author", "")


def rollback(where: Where, revision: str, output: str, *, pin: bool, unpin: bool) -> int:
    """List, print, pin or unpin."""
    if unpin and (revision or pin):
        raise Sorry("--unpin takes no revision: it lets the newest document decide again")
    if pin and not revision:
        raise Sorry("--pin needs the revision to hold on to: `microseg rollback` lists them")
    with Cluster(where) as cluster:
        live = cluster.live(hosts=pin or unpin)
        if unpin:
            return _unpin(cluster, live, output)
        if not revision:
            show(listed(live), output)
            return 0
        found = live.revision(revision)
        return _pin(cluster, live, found, output) if pin else _print(live, found, output)


def listed(live: Live) -> Report:
    """The kept revisions, the newest first."""
    name, pinned = live.estate.spec.mapping.name, live.estate.spec.mapping.pin
    kept = list(reversed(live.revisions))
    newest_in_force = next((each for each in kept if each.digest == live.in_force), None)
    rows = [
        (
            str(each.number), each.digest, f"{each.accepted_at:%Y-%m-%d %H:%M:%SZ}", each.commit, each.author,
            "in force" if each is newest_in_force else "",
        )
        for each in kept
    ]  # fmt: skip
    data = {
        "estate": live.key,
        "mapping": name,
        "inForce": live.in_force or None,
        "pinned": pinned or None,
        "revisions": [_facts(each) | {"inForce": each is newest_in_force} for each in kept],
    }
    hints = [
        "`microseg rollback REVISION` prints its document; `microseg plan --revision REVISION` what it would change."
    ]
    loud = [f"PINNED to {pinned}: newer documents are not looked at. `microseg rollback --unpin` ends that."]
    none = [f"{live.key}: no revision of {name} was ever accepted."]
    sections = (
        Lines("", loud if pinned else [], loud=True),
        Lines("", [] if kept else none),
        Table(f"{live.key}: accepted revisions of {name}", _COLUMNS, rows),
        Lines("", hints if kept else []),
    )
    return Report(data, sections)


def _print(live: Live, found: MappingRevision, output: str) -> int:
    """The document alone on standard output, to be written into Git; for people beside it, what it is."""
    if output in {"json", "yaml"}:
        show(Report({**_facts(found), "document": found.document}, ()), output)
        return 0
    if output == "md":
        print(f"### {found.mapping} {found.number}, revision {found.digest}\n\n```yaml")
    print(found.document, end="" if found.document.endswith("\n") else "\n")
    if output == "md":
        print("```")
    accepted = f"number {found.number}, accepted {found.accepted_at:%Y-%m-%d %H:%M:%SZ} from {found.source}"
    sys.stderr.write(f"microseg: this is revision {found.digest} ({accepted}); in force is {live.in_force}.\n")
    return 0


def _pin(cluster: Cluster, live: Live, found: MappingRevision, output: str) -> int:
    """Hold on to it, and say what that changes."""
    rules = live.rules(found.digest)
    if rules is None:
        raise Sorry(f"revision {found.digest} no longer parses, so it cannot be pinned")
    foreseen = previewing.foresee(live, rules)
    cluster.pin(live.estate, found.digest)
    told = [
        f"PINNED: Estate {live.key} holds on to revision {found.digest}; newer documents are not looked at.",
        f"Guard: {previewing.verdict(live, foreseen)}",
        "Revert the mapping in Git. Where Git owns the Estate, write spec.mapping.pin there, too, or it is undone.",
        "Then: microseg rollback --unpin",
    ]
    data = {"estate": live.key, "pinned": found.digest, "guard": previewing.verdict(live, foreseen)}
    show(Report(data, (Lines("", told, loud=True),)), output)
    return 0


def _unpin(cluster: Cluster, live: Live, output: str) -> int:
    """Let the newest document decide again."""
    pinned = live.estate.spec.mapping.pin
    if pinned:
        cluster.pin(live.estate, "")
    told = f"Estate {live.key} is no longer pinned to {pinned}." if pinned else f"Estate {live.key} was not pinned."
    show(Report({"estate": live.key, "pinned": None, "was": pinned or None}, (Lines("", [told]),)), output)
    return 0


def _facts(revision: MappingRevision) -> dict[str, object]:
    return {
        "number": revision.number,
        "revision": revision.digest,
        "acceptedAt": f"{revision.accepted_at:%Y-%m-%dT%H:%M:%SZ}",
        "commit": revision.commit or None,
        "author": revision.author or None,
        "source": revision.source,
    }
