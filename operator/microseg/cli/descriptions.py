"""What `--help` says of each command."""

from __future__ import annotations

WHOLE = {
    "plan": """\
What a mapping would change on the live hosts: for each label and group, counts and examples; groups that
become empty; hosts that no rule would match; groups and labels that it names and the outside lacks; and whether
the guard would hold it. It runs the operator's own planner on the facts in the records, and changes nothing.""",
    "explain": """\
Why a host has its labels and groups and which rules lost, the state of its stages, what happens next and when,
and what a person can do. The times of an installer's attempt are those of the operator's Deployment in the
namespace, for whoever may list Deployments (apps) there; for anybody else they are the defaults, and it says so.""",
    "approve": """\
Lets through what the operator holds, or vouches for what it cannot prove. It creates an Approval: it carries your name,
which the API server checks, and is kept with what came of it. The operator's messages name ACTION and WHAT.""",
    "rollback": """\
Lists the accepted revisions of the mapping. With a REVISION it prints that document, to be committed to Git again.
Nothing is changed without --pin or --unpin.""",
    "validate": """\
Checks a mapping document: its form, what is valid but probably wrong (warnings), and its own tests. Needs no
cluster. The operator refuses what this command refuses.""",
    "doctor": """\
Whether it would work, before anything is installed: the mapping, with its labels and groups; name, port and
certificate of each system; the token; what must be read; the right to start scripts, asked without starting one;
pairing profiles, packages and gateways; clocks. With --in-cluster also the CRDs and each right of the operator's own
RBAC. It reads and changes nothing; it opens one Check Point session and closes it.""",
    "status": """\
Whether the estate is healthy: who leads and how old its Lease is; each system's latest complete reading, the
time that its requests take, the budget that is left, and errors; hosts by stage and reason with the oldest; and
what is held, suspended and being retired. A stopped operator never looks well: nobody renews its Lease.""",
    "history": """\
Every change outside that the records keep: time, system, host, what, from -> to, and the cause: a mapping revision,
drift and by whom, a retirement, an approval and by whom. A host's record keeps its latest 32 different lines.""",
    "report": """\
Each VM at a time: protected or not, since when, by which revision, with which labels, groups, installed targets and
gaps. Labels and groups are those of the record; what changed after that time is said on the row.""",
}
"""Command -> what it is for."""

END = {
    "validate": "exit codes: 0 fit to be accepted, 1 not.",
    "plan": """\
exit codes: 0 nothing would change, 2 something would, 1 unknown (an error says why), or a name is missing outside.
examples:
  microseg plan -f mapping.yaml
  microseg plan -f mapping.yaml -o md >> "$GITHUB_STEP_SUMMARY"
  microseg plan                          what the mapping in force would still change, such as a held change""",
    "approve": """\
examples:
  microseg approve plan 3f2a9c0d1e4b -r CHG-7            what `microseg plan` shows as held
  microseg approve retirement 0c41d2f7a9b3 -r CHG-8      what `microseg status --retiring` lists
  microseg approve adoption "${ADOPTIONS[@]}" -r CHG-9   several hosts at once, an Approval for each
  microseg approve pin previous -r INC-9                 keep a revision in force; `approve pin none` ends it
  kubectl get approvals                                  who approved what, and what came of it""",
    "rollback": """\
examples:
  microseg rollback                      the accepted revisions
  microseg rollback previous > mapping.yaml
  microseg rollback --pin 3f2a9c0d1e4b   emergency: keep that revision in force at once
  microseg rollback --unpin              the newest document decides again""",
    "doctor": """\
exit codes: 0 nothing failed, 2 something did, 1 it could not begin.
examples:
  microseg doctor -f estate.yaml -f secrets.yaml -f mapping.yaml
  kubectl apply -k manifests/kustomize/doctor          the same as a Pod sees it, before the operator runs
  kubectl -n microseg exec deploy/microseg -- microseg doctor --in-cluster""",
    "history": """\
examples:
  microseg history web-01
  microseg history --system checkpoint --since 24h
  microseg history -o json > evidence.json""",
    "status": """\
examples:
  microseg status
  microseg status --retiring             what would be retired, and why not yet
  microseg status --calls                what it costs in requests
  microseg status -o prom                for Prometheus' textfile collector""",
}
"""Command -> what stands below its options: exit codes and examples."""
