"""`microseg rollback`: lists the accepted revisions, prints the document of one for a Git revert, or pins it.

Nothing is changed without `--pin` or `--unpin`. A pin is for emergencies: the Estate tells it loudly until it is gone.
"""

from __future__ import annotations

import sys

from microseg.cli import plan as plan_command
from microseg.cli.cluster import Cluster, Live
from microseg.cli.errors import CommandError
from microseg.cli.output import Lines, Report, Table, show
from microseg.cli.target import ClusterOptions
from microseg.kube.revisions import MappingRevision
from microseg.mapping import MappingDocument
from microseg.model.shown import DIGITS

_COLUMNS = ("number", "revision", "accepted", "commit", "author", "")


def rollback(where: ClusterOptions, revision: str, output: str, *, pin: bool, unpin: bool) -> int:
    """List, print, pin or unpin."""
    if unpin and (revision or pin):
        raise CommandError("--unpin takes no revision: it lets the newest document decide again")
    if pin and not revision:
        raise CommandError("--pin needs the revision to keep in force: `microseg rollback` lists them")
    with Cluster(where) as cluster:
        live = cluster.live(hosts=pin or unpin)
        if unpin:
            return _unpin(cluster, live, output)
        if not revision:
            show(listed(live), output)
            return 0
        target = live.revision(revision)
        rules = live.verified(target)
        return _pin(cluster, live, target.digest, rules, output) if pin else _print(live, target, output)


def listed(live: Live) -> Report:
    """The kept revisions, the newest first."""
    name, pinned = live.estate.spec.mapping.name, live.estate.spec.mapping.pin
    kept = list(reversed(live.revisions))
    faults = {each.name: judged for each in kept if isinstance(judged := live.judged(each), str)}
    refused = [f"{name}: {told}" for name, told in faults.items()]
    refused += [f"{each.name}: {each.fault}" for each in live.not_ours]
    named = next((each for each in kept if each.digest == live.in_force), None)
    in_force = named if named is not None and named.name not in faults else None
    rows = [
        (
            str(each.number), each.digest[:DIGITS], f"{each.accepted_at:%Y-%m-%d %H:%M:%SZ}", each.commit, each.author,
            "in force" if each is in_force else "NOT USED" if each.name in faults else "",
        )
        for each in kept
    ]  # fmt: skip
    data = {
        "estate": live.key,
        "mapping": name,
        "inForce": live.in_force or None,
        "pinned": pinned or None,
        "revisions": [_facts(each) | {"inForce": each is in_force, "notUsed": faults.get(each.name)} for each in kept],
        "notOurs": {each.name: each.fault for each in live.not_ours},
    }
    hints = [
        "`microseg rollback REVISION` prints its document; `microseg plan --revision REVISION` what it would change."
    ]
    loud = [f"PINNED to {pinned}: newer documents are ignored. `microseg rollback --unpin` ends that."]
    none = [f"{live.key}: no revision of {name} was ever accepted."]
    sections = (
        Lines("", loud if pinned else [], loud=True),
        Lines("", [] if kept else none),
        Table(f"{live.key}: accepted revisions of {name}", _COLUMNS, rows),
        Lines("Not used", refused, loud=True),
        Lines("", hints if kept else []),
    )
    return Report(data, sections)


def _print(live: Live, revision: MappingRevision, output: str) -> int:
    """The document alone on standard output, to be written into Git; for people beside it, what it is."""
    if output in {"json", "yaml"}:
        show(Report({**_facts(revision), "document": revision.document}, ()), output)
        return 0
    if output == "md":
        print(f"### {revision.mapping} {revision.number}, revision {revision.digest}\n\n```yaml")
    print(revision.document, end="" if revision.document.endswith("\n") else "\n")
    if output == "md":
        print("```")
    accepted = f"number {revision.number}, accepted {revision.accepted_at:%Y-%m-%d %H:%M:%SZ} from {revision.source}"
    sys.stderr.write(f"microseg: this is revision {revision.digest} ({accepted}); in force is {live.in_force}.\n")
    return 0


def _pin(cluster: Cluster, live: Live, digest: str, rules: MappingDocument, output: str) -> int:
    """Hold on to it, and say what that changes."""
    preview = plan_command.foresee(live, rules)
    cluster.pin(live.estate, digest)
    lines = [
        f"PINNED: Estate {live.key} keeps revision {digest} in force; newer documents are ignored.",
        f"Guard: {plan_command.verdict(live, preview)}",
        "Revert the mapping in Git. Where Git owns the Estate, write spec.mapping.pin there too, or the pin is undone.",
        "Then: microseg rollback --unpin",
    ]
    data = {"estate": live.key, "pinned": digest, "guard": plan_command.verdict(live, preview)}
    show(Report(data, (Lines("", lines, loud=True),)), output)
    return 0


def _unpin(cluster: Cluster, live: Live, output: str) -> int:
    """Let the newest document decide again."""
    pinned = live.estate.spec.mapping.pin
    if pinned:
        cluster.pin(live.estate, "")
    line = f"Estate {live.key} is no longer pinned to {pinned}." if pinned else f"Estate {live.key} was not pinned."
    show(Report({"estate": live.key, "pinned": None, "was": pinned or None}, (Lines("", [line]),)), output)
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
