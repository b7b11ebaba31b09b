"""The alerts: each with its expression, its runbook, and the series by which promtool proves that it fires, and does not.

Names of metrics come from `microseg.metrics.table` only, so an alert cannot watch a series that is not there.
"""

from __future__ import annotations

from lab.monitoring.alert import BY, PROTECTED, PROTECTED_WITHIN, READ, READ_WITHIN, Alert, burn, condition, series
from microseg.metrics import table as m

_BUCKET = series(m.TIME_TO_PROTECT, f'le="{PROTECTED_WITHIN:.1f}"', suffix="_bucket")
_COUNT = series(m.TIME_TO_PROTECT, suffix="_count")
_AZURE = 'system="azure"'

ALERTS: tuple[Alert, ...] = (
    Alert(
        "MicrosegAbsent", "page", f"absent({m.BUILD_INFO.name})", "5m",
        "No replica of the operator answers.",
        "Prometheus scrapes no replica. Nothing is onboarded, repaired or retired; what is protected stays protected.",
        "Look at the Deployment and its Pods; `microseg status` says how old the Lease is.",
        fires=(), quiet=((f'{m.BUILD_INFO.name}{{version="1"}}', "1x240"),), of_estate=False,
    ),
    Alert(
        "MicrosegNobodyLeads", "page", f"sum {BY} ({m.LEADER.name}) == 0", "3m",
        "Replicas run, and none holds the Lease of the estate.",
        "Nothing of the estate is reconciled.",
        "`microseg status` names the last holder. Look at the log for `lease not readable`, and at the RBAC for leases.",
        fires=((series(m.LEADER), "0x240"),), quiet=((series(m.LEADER), "1x240"),),
    ),
    Alert(
        "MicrosegSeveralLead", "page", f"sum {BY} ({m.LEADER.name}) > 1", "2m",
        "Two replicas say that they hold the Lease of the estate.",
        "A holder that lost its Lease stops before it ends, so this should never be seen for long.",
        "Delete the Pod whose name the Lease does not have; keep both logs.",
        fires=((series(m.LEADER, 'pod="a"'), "1x240"), (series(m.LEADER, 'pod="b"'), "1x240")),
        quiet=((series(m.LEADER, 'pod="a"'), "1x240"), (series(m.LEADER, 'pod="b"'), "0x240")),
    ),
    Alert(
        "MicrosegLeaseFlaps", "ticket", f'sum {BY} (increase({m.LEASES.name}{{change="lost"}}[1h])) > 3', "5m",
        "The Lease of the estate is lost again and again.",
        "Each change of the holder begins with a reading of every system, so work is slower; nothing is done twice.",
        "Look at restarts and the memory of the Pods, and at the latency of the API server: a holder that cannot renew its "
        "Lease in time gives it up.",
        fires=((series(m.LEASES, 'change="lost"'), "0+1x240"),),
        quiet=((series(m.LEASES, 'change="lost"'), "0x240"),),
    ),
    condition("MicrosegEstateStalled", "Stalled", "true", "5m", "page", (
        "A person must change something before the estate is reconciled.",
        "Nothing of the estate is reconciled: a Secret, a permission, the schema or the spec cannot be used.",
        "`microseg status` shows the reason; `microseg doctor` names what to mend.",
    )),
    Alert(
        "MicrosegSystemUnreachable", "page", f'{m.CONDITION.name}{{condition=~".+Reachable",status="true"}} == 0', "20m",
        "{{ $labels.condition }} is not True.",
        "A system was not read completely for 20 minutes. What was confirmed stays; nothing new is concluded.",
        "`microseg status` shows the error; see [a system cannot be read](../operations.md#a-system-cannot-be-read).",
        fires=((series(m.CONDITION, 'condition="AzureReachable"', 'status="true"'), "0x240"),),
        quiet=((series(m.CONDITION, 'condition="AzureReachable"', 'status="true"'), "1x240"),),
        labels=(("condition", "AzureReachable"), ("status", "true")),
    ),
    Alert(
        "MicrosegReadingOld", "page", f"time() - {m.READ_AT.name} > {2 * READ_WITHIN}", "5m",
        "{{ $labels.system }} was last read completely half an hour ago.",
        "The records are older than they look; a VM that came since is not protected.",
        "`microseg status` shows the latest error of the system.",
        fires=((series(m.READ_AT, _AZURE), "0x240"),), quiet=((series(m.READ_AT, _AZURE), "0+60x240"),),
        labels=(("system", "azure"),),
    ),
    condition("MicrosegMappingRefused", "MappingValid", "false", "5m", "ticket", (
        "The newest mapping was refused; the previous one is in force.",
        "A commit did not take effect.",
        "`microseg validate` on that file names line and reason; commit it mended.",
    )),
    Alert(
        "MicrosegPlanHeld", "ticket", f'{m.HELD.name}{{kind!="retirement"}} > 0', "30m",
        "A plan for {{ $value }} hosts waits for a person ({{ $labels.kind }}).",
        "The guard holds a change of the mapping, or of tags and addresses: nothing of it is carried out.",
        "`microseg plan` shows what it would do; approve it as `microseg status` says, or revert the mapping or the tags.",
        fires=((series(m.HELD, 'kind="mapping"'), "7x240"),), quiet=((series(m.HELD, 'kind="mapping"'), "0x240"),),
        labels=(("kind", "mapping"),),
    ),
    Alert(
        "MicrosegGuardTrips", "ticket", f"sum by (namespace, estate, kind) (increase({m.GUARD_TRIPS.name}[6h])) > 5", "5m",
        "The guard begins to hold plans again and again ({{ $labels.kind }}).",
        "Something changes many hosts at once, repeatedly: a script that writes tags, an address plan, or edits of the "
        "mapping that nobody foresaw.",
        "`microseg history --since 6h` shows what came through; the Estate's Events `PlanHeld` name what did not. Stop the "
        "cause before you approve.",
        fires=((series(m.GUARD_TRIPS, 'kind="facts"'), "0+0.1x240"),),
        quiet=((series(m.GUARD_TRIPS, 'kind="facts"'), "1x240"),),
        labels=(("kind", "facts"),), at="3h",
    ),
    Alert(
        "MicrosegRetirementsHeld", "ticket", f'{m.HELD.name}{{kind="retirement"}} > 0', "6h",
        "{{ $value }} VMs that are gone have waited for six hours to be retired.",
        "More are gone than `maxPerHour` lets go, for hours: an estate that is being taken down, or one whose VMs the "
        "operator no longer sees. Their objects, groups and workloads stay meanwhile.",
        "`microseg status --retiring` lists them. If they are gone indeed, approve the list; if not, give the operator back "
        "its sight of them.",
        fires=((series(m.HELD, 'kind="retirement"'), "40x480"),),
        quiet=((series(m.HELD, 'kind="retirement"'), "40x120 0x360"),),
        labels=(("kind", "retirement"),), at="7h",
    ),
    Alert(
        "MicrosegHostsBlocked", "ticket", f'{m.HOSTS.name}{{standing="blocked"}} > 0', "1h",
        "{{ $value }} hosts need a person.",
        "They are not, or not fully, protected, and do not get on by themselves.",
        "`microseg status` counts them by reason, the oldest first; `microseg explain HOST` says what to do.",
        fires=((series(m.HOSTS, 'standing="blocked"'), "2x240"),),
        quiet=((series(m.HOSTS, 'standing="blocked"'), "0x240"),),
        labels=(("standing", "blocked"),),
    ),
    Alert(
        "MicrosegAgentsOffline", "ticket", f'{m.AGENTS.name}{{reason="VENOffline"}} > 0', "1h",
        "The PCE does not hear the VENs of {{ $value }} VMs that are not stopped.",
        "Whether those VMs are protected is not known. They count as waiting, not as blocked: they continue when they are "
        "heard.",
        "`kubectl get mh` shows which; [VENOffline](../operations.md#a-host-that-is-done-or-continues-by-itself) says what to look at. Many at once: look at "
        "the way from the VMs to the PCE.",
        fires=((series(m.AGENTS, 'reason="VENOffline"'), "3x240"),),
        quiet=((series(m.AGENTS, 'reason="VENOffline"'), "0x240"),),
        labels=(("reason", "VENOffline"),),
    ),
    Alert(
        "MicrosegThrottled", "ticket", f"sum by (namespace, estate, system) (rate({m.THROTTLES.name}[15m])) > 0.05", "15m",
        "{{ $labels.system }} refuses calls of the operator, again and again.",
        "Something else uses the same limit, or it was lowered: work is slower than it should be.",
        "`microseg status --calls` shows what is asked; look for another client with the same identity.",
        fires=((series(m.THROTTLES, _AZURE), "0+10x240"),), quiet=((series(m.THROTTLES, _AZURE), "0x240"),),
        labels=(("system", "azure"),),
    ),
    Alert(
        "MicrosegRequestsFail", "ticket",
        f'sum by (namespace, estate, system) (rate({m.REQUESTS.name}_count{{outcome!~"2..|3..|404|409"}}[15m])) '
        f"/ sum by (namespace, estate, system) (rate({m.REQUESTS.name}_count[15m])) > 0.2",
        "15m",
        "More than a fifth of the requests to {{ $labels.system }} fail.",
        "The system answers errors, or not at all.",
        "`microseg status` shows the latest error; the log has each.",
        fires=(
            (series(m.REQUESTS, _AZURE, 'operation="vm"', 'outcome="500"', suffix="_count"), "0+5x240"),
            (series(m.REQUESTS, _AZURE, 'operation="vm"', 'outcome="200"', suffix="_count"), "0+5x240"),
        ),
        quiet=(
            (series(m.REQUESTS, _AZURE, 'operation="vm"', 'outcome="500"', suffix="_count"), "0x240"),
            (series(m.REQUESTS, _AZURE, 'operation="vm"', 'outcome="200"', suffix="_count"), "0+5x240"),
        ),
        labels=(("system", "azure"),),
    ),
    Alert(
        "MicrosegPublishesFail", "ticket", f'sum {BY} (increase({m.PUBLISHES.name}{{outcome="failed"}}[1h])) > 3', "5m",
        "Publishes to Check Point fail.",
        "Objects and memberships do not reach the firewall; new VMs are not grouped.",
        "`microseg status` shows Check Point's answer; look for a locked session or a refused object.",
        fires=((series(m.PUBLISHES, 'outcome="failed"'), "0+1x240"),),
        quiet=((series(m.PUBLISHES, 'outcome="failed"'), "0x240"),),
    ),
    Alert(
        "MicrosegInstallsFail", "ticket",
        f'sum {BY} (increase({m.INSTALLS.name}{{outcome!="installed"}}[1h])) > 2', "5m",
        "Policy installs fail.",
        "What is published is not in force on a gateway.",
        "`microseg status` and PolicyInstalled of a host name the gateway and its answer.",
        fires=((series(m.INSTALLS, 'outcome="refused"'), "0+1x240"),),
        quiet=((series(m.INSTALLS, 'outcome="refused"'), "0x240"),),
    ),
    Alert(
        "MicrosegQueueStuck", "ticket", f'{m.QUEUE_AGE.name}{{queue=~"decide|status"}} > 900', "5m",
        "The queue {{ $labels.queue }} was not empty for a quarter of an hour.",
        "Decisions or their records lag: the API server is slow, or refuses writes.",
        "Look for `status not written` in the log, and at the API server's load.",
        fires=((series(m.QUEUE_AGE, 'queue="status"'), "0+60x240"),),
        quiet=((series(m.QUEUE_AGE, 'queue="status"'), "0x240"),),
        labels=(("queue", "status"),),
    ),
    Alert(
        "MicrosegDriftRepeats", "ticket", f"sum {BY} (increase({m.DRIFT_REPAIRED.name}[1h])) > 10", "15m",
        "Somebody keeps changing what the operator repairs.",
        "More than ten changes from outside were repaired in an hour.",
        "`microseg history --since 1h` shows what was changed and by whom; settle who is right.",
        fires=((series(m.DRIFT_REPAIRED, 'stage="Labelled"'), "0+1x240"),),
        quiet=((series(m.DRIFT_REPAIRED, 'stage="Labelled"'), "0x240"),),
    ),
    Alert(
        "MicrosegDriftStays", "ticket",
        f"sum {BY} (increase({m.DRIFT_FOUND.name}[6h])) "
        f"- (sum {BY} (increase({m.DRIFT_REPAIRED.name}[6h])) or 0 * sum {BY} (increase({m.DRIFT_FOUND.name}[6h]))) > 5",
        "15m",
        "What was changed from outside stays as it was changed.",
        "More than five changes of six hours were found and not repaired: `spec.drift` is Report, they are left alone after "
        "three repairs (Contention), or a repair cannot be done.",
        "`kubectl get mh` and `microseg explain HOST` say what differs and who wrote it last; put it right there, or set "
        "`spec.drift: Repair`.",
        fires=((series(m.DRIFT_FOUND, 'stage="Labelled"'), "0+0.1x240"),),
        quiet=(
            (series(m.DRIFT_FOUND, 'stage="Labelled"'), "0+0.1x240"),
            (series(m.DRIFT_REPAIRED, 'stage="Labelled"'), "0+0.1x240"),
        ),
        at="3h",
    ),
    Alert(
        "MicrosegRowsLeftOut", "ticket", f"{m.PROBLEMS.name} > 0", "1h",
        "The list of {{ $labels.system }} has {{ $value }} items that cannot be read.",
        "Those items are not judged; with such a row of Azure, nobody is retired.",
        "The Estate's condition of the system quotes the first ones.",
        fires=((series(m.PROBLEMS, _AZURE), "1x240"),), quiet=((series(m.PROBLEMS, _AZURE), "0x240"),),
        labels=(("system", "azure"),),
    ),
    Alert(
        "MicrosegSuspended", "ticket", f'{m.SUSPENDED.name}{{what="estate"}} == 1', "2h",
        "The estate is suspended.",
        "New VMs are not protected while it lasts.",
        "Set `spec.suspend: false` when the reason is over.",
        fires=((series(m.SUSPENDED, 'what="estate"'), "1x240"),),
        quiet=((series(m.SUSPENDED, 'what="estate"'), "0x240"),),
        labels=(("what", "estate"),), at="3h",
    ),
    Alert(
        "MicrosegProtectionSLOFast", "page", burn("protection", "1h", "5m", 14.4, 1 - PROTECTED), "2m",
        "New VMs are not protected in time: the error budget of a month is gone in two days.",
        f"Fewer than {PROTECTED:.0%} of new VMs are protected within {PROTECTED_WITHIN // 60} minutes, by far.",
        "`microseg status` shows at which stage hosts stand, and which system is slow.",
        fires=((_BUCKET, "0x240"), (_COUNT, "0+5x240")), quiet=((_BUCKET, "0+5x240"), (_COUNT, "0+5x240")),
    ),
    Alert(
        "MicrosegProtectionSLOSlow", "ticket", burn("protection", "6h", "30m", 6, 1 - PROTECTED), "15m",
        "New VMs are not protected in time: the error budget of a month is gone in five days.",
        f"Fewer than {PROTECTED:.0%} of new VMs are protected within {PROTECTED_WITHIN // 60} minutes.",
        "`microseg status` shows at which stage hosts stand, and which system is slow.",
        fires=((_BUCKET, "0x240"), (_COUNT, "0+5x240")), quiet=((_BUCKET, "0+5x240"), (_COUNT, "0+5x240")),
    ),
    Alert(
        "MicrosegReadingSLOFast", "page", burn("reading", "1h", "5m", 14.4, 1 - READ), "2m",
        "{{ $labels.system }} is not read often enough: the error budget of a month is gone in two days.",
        f"For {READ:.0%} of the time a complete reading is to be younger than {READ_WITHIN // 60} minutes.",
        "`microseg status` shows the latest error of the system.",
        fires=((series(m.READ_AT, _AZURE), "0x240"),), quiet=((series(m.READ_AT, _AZURE), "0+60x240"),),
        labels=(("system", "azure"),),
    ),
    Alert(
        "MicrosegReadingSLOSlow", "ticket", burn("reading", "6h", "30m", 6, 1 - READ), "15m",
        "{{ $labels.system }} is not read often enough: the error budget of a month is gone in five days.",
        f"For {READ:.0%} of the time a complete reading is to be younger than {READ_WITHIN // 60} minutes.",
        "`microseg status` shows the latest error of the system.",
        fires=((series(m.READ_AT, _AZURE), "0x240"),), quiet=((series(m.READ_AT, _AZURE), "0+60x240"),),
        labels=(("system", "azure"),),
    ),
)  # fmt: skip
