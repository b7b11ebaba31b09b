"""The life of an installation, judged on the ledgers of the simulated systems. Called by `lab.node.__main__`.

Installed, killed, rolled, drained, starved of memory, upgraded, uninstalled, installed again.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from lab.bench import fleet
from lab.controlplane import KubectlFailed
from lab.helm import CRD_CHART
from lab.node.figures import Figures, HolderWatch, longest_silence, ready_after, working_set
from lab.node.hosting import Hosted, hosted
from lab.node.installed import CRD_NAMESPACE, CRD_RELEASE, RELEASE, processes
from lab.node.plane import NODE
from lab.operator_process import Tempo

_TEMPO = Tempo(
    scale=60,
    poll="2s",
    installer_expected=5,
    look_pause=1,
    retry_pause=2,
    task_pause=0.2,
    install_patience=2,
    lease_seconds=6,
)
_FEW = 24
_WAIT = 300.0


def tell(folder: Path, hosts: int) -> None:
    """Play every chapter; raises AssertionError or NotInTime at the first thing that is not as it must be."""
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {text}", flush=True)

    with hosted(folder, _TEMPO, replicas=2, namespace="microseg", say=say, options=("--guests", "fast")) as on:
        story = Story(on, say)
        for chapter in (
            story.installed,
            story.killed_in_the_middle,
            story.tested,
            story.rolled,
            story.drained,
            story.starved,
            story.definitions_upgraded,
            lambda: story.many(hosts),
            story.uninstalled_and_installed_again,
        ):
            chapter()
        print(f"\n{story.figures.table()}", flush=True)


class Story:
    """The chapters, in the order of `tell`."""

    def __init__(self, on: Hosted, say: Callable[[str], None]) -> None:
        """The charts are installed; no replica runs and no Estate exists."""
        self.rig, self.node, self.installation = on.rig, on.node, on.installation
        self.image, self.say = on.image, say
        self.figures = Figures()
        self._vms = 0

    def installed(self) -> None:
        """`helm install`, an Estate, and the first VMs."""
        self._add(_FEW)
        self.rig.apply_estate()
        began = time.monotonic()
        self.rig.operator.start()
        self.say(f"two replicas are ready, {time.monotonic() - began:.1f} s after helm upgrade began")
        slowest = max(map(ready_after, self.installation.pods()))
        self.figures.add("a Pod is ready after its container's start", f"{slowest:.0f} s (goal 3 s)")
        self._sandboxed()

    def killed_in_the_middle(self) -> None:
        """SIGKILL to the holder while installers run: the other replica takes over, and no VM gets two installers."""
        worlds = self.rig.worlds
        # Not earlier: a start whose answer is lost is settled only when it can no longer begin, after the key's life.
        self._until(lambda: len(worlds.scripts()) >= _FEW, "an installer runs on every VM")
        holder = self.installation.holder()
        self.say(f"the Pod {holder}, which holds the Lease, is deleted without grace while installers run")
        with HolderWatch(self.installation) as watch:
            at = time.monotonic()
            self._kubectl("delete", "pod", holder, "--grace-period=0", "--force")
            self._kill_processes_of(holder)
            self._until(lambda: self.installation.holder() not in {"", holder}, "another replica holds the Lease")
        taken = next(when for when, who in watch.changes if who not in {"", holder})
        self.figures.add("take-over after SIGKILL (Lease of 6 s)", f"{taken - at:.1f} s")
        self._all_commissioned()
        self._one_installer_each()

    def tested(self) -> None:
        """`helm test` examines the cluster and the three systems from a Pod like the operator's."""
        told = self.installation.helm.run("test", RELEASE, "--namespace", self.rig.namespace, "--logs")
        assert "Nothing failed in" in told, told
        self.say("helm test finds nothing wrong")

    def rolled(self) -> None:
        """A new version: its Pods come, the old ones release the Lease."""
        repository, _, tag = self.image.name.rpartition(":")
        self.node.tag_image(self.image.name, f"{repository}:next")
        self.installation.wait_rolled_out()
        self.say("helm upgrade to another tag")
        since = time.time()
        self.installation.upgrade(image={"repository": repository, "tag": "next"})
        self.installation.wait_rolled_out()
        self._add(4)
        self._all_commissioned()
        silence = longest_silence(self.rig.worlds, since=since, until=time.time())
        self.figures.add(
            f"longest time without a request during a rolling update (poll {_TEMPO.poll})", f"{silence:.1f} s"
        )
        self._one_installer_each()
        self.installation.upgrade(image={"repository": repository, "tag": tag})
        self.installation.wait_rolled_out()

    def drained(self) -> None:
        """A drain evicts one replica; the budget keeps the other, which works on."""
        self.say("kubectl drain: there is one node, so the evicted replica has nowhere to go")
        flags = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=20s")
        try:
            self.node.kubectl("drain", NODE, *flags)
            raise AssertionError("a drain of the only node ended: both replicas were evicted")
        except KubectlFailed as refused:
            assert "disruption budget" in str(refused) or "timeout" in str(refused), refused  # noqa: PT017 - not a test
        assert len(self.installation.ready_pods()) == 1, "one replica is left"
        self._add(2)
        self._all_commissioned()
        self.node.kubectl("uncordon", NODE)
        self.installation.wait_rolled_out()
        self._one_installer_each()

    def starved(self) -> None:
        """Too little memory for a new release: it is OOM-killed, and the old one works on. Then the holder itself."""
        self.say("a release with a limit of 40 MiB")
        whole = {"requests": {"cpu": "100m", "memory": "192Mi"}, "limits": {"memory": "1Gi"}}
        self.installation.upgrade(resources={"requests": {"memory": "40Mi"}, "limits": {"memory": "40Mi"}})
        self._until(self._somebody_was_oom_killed, "a Pod of that release was OOM-killed")
        self._add(2)
        self._all_commissioned()
        self.installation.upgrade(resources=whole)
        self.installation.wait_rolled_out()
        self._one_installer_each()

    def definitions_upgraded(self) -> None:
        """A newer definition with stored hosts: no host changes."""
        changed = self.rig.folder / "newer-crds"
        shutil.copytree(CRD_CHART, changed)
        template = changed / "templates" / "managedhosts.yaml"
        text = template.read_text(encoding="utf-8")
        assert "    singular: managedhost\n" in text
        template.write_text(text.replace("    categories:\n", "    categories:\n    - newer\n"), encoding="utf-8")
        before = self._versions()
        self.say(f"helm upgrade of the definitions, with {len(before)} stored hosts")
        self.installation.helm.run("upgrade", CRD_RELEASE, str(changed), "--namespace", CRD_NAMESPACE)
        self._polls(3)
        assert self._versions() == before, "an upgrade of the definitions changed a host"
        self.installation.helm.run("upgrade", CRD_RELEASE, str(CRD_CHART), "--namespace", CRD_NAMESPACE)

    def many(self, number: int) -> None:
        """Memory and time with many hosts."""
        more = max(number - self._vms, 0)
        self.say(f"{more} more VMs")
        began = time.monotonic()
        self._add(more)
        self._all_commissioned(seconds=420)
        self.figures.add(
            f"{more} VMs commissioned (vendors {_TEMPO.scale:g} times as fast)", f"{time.monotonic() - began:.0f} s"
        )
        self._polls(3)
        found = working_set(self.installation, self.installation.ready_pods())
        holder = self.installation.holder()
        for name, size in sorted(found.items(), key=lambda pair: pair[0] != holder):
            role = "the holder" if name == holder else "the standby"
            self.figures.add(f"memory of {role} at {self._vms} hosts", f"{size / 2**20:.0f} MiB")

    def uninstalled_and_installed_again(self) -> None:
        """The protection stays without the operator, and a new installation takes the hosts over without an effect."""
        protected, hosts, effects = self._protection(), len(self.rig.hosts()), self._effects()
        self.say(f"helm uninstall, with {hosts} hosts")
        self.installation.uninstall()
        self._until(lambda: not self.installation.pods(), "no Pod is left")
        assert self._protection() == protected, "the uninstall changed something outside"
        assert len(self.rig.hosts()) == hosts, "the uninstall removed records"
        self.say("helm install")
        self.installation.upgrade(replicas=2)
        self.installation.wait_rolled_out()
        self._polls(3)
        self._all_commissioned()
        assert self._protection() == protected, "the new installation changed something outside"
        assert self._effects() == effects, f"the new installation had effects: {self._effects() - effects}"

    # What is looked at ------------------------------------------------------------------------------------------------

    def _add(self, number: int) -> None:
        subscriptions = self.rig.worlds.described["azure"]["subscriptions"]
        orders = fleet.orders(self._vms + number, subscriptions)[self._vms :]
        for begin in range(0, len(orders), 200):
            self.rig.worlds.post("/azure/vms", orders[begin : begin + 200])
        self._vms += number

    def _all_commissioned(self, *, seconds: float = _WAIT) -> None:
        def done() -> bool:
            hosts = self.rig.hosts()
            return len(hosts) == self._vms and all(host.commissioned for host in hosts)

        self.rig.wait_until(done, seconds=seconds, what=f"{self._vms} hosts are commissioned", pause=1)

    def _one_installer_each(self) -> None:
        numbers = Counter(script.vm_id for script in self.rig.worlds.scripts() if script.mode == "install")
        again = {vm: number for vm, number in numbers.items() if number != 1}
        assert not again, f"more than one installer on {again}"
        assert len(numbers) == self._vms
        self.say(f"{self._vms} hosts are commissioned, with exactly one installer on each")

    def _sandboxed(self) -> None:
        """The Pod Security Standard is real: no capability, a seccomp filter, no new privileges, another user."""
        for pid in processes():
            status = dict(line.split(":\t", 1) for line in _status(pid) if ":\t" in line)
            assert status["Uid"].split()[0] == "65532", status["Uid"]
            assert int(status["CapEff"], 16) == 0, status["CapEff"]
            assert status["Seccomp"] == "2", status["Seccomp"]
            assert status["NoNewPrivs"] == "1", status["NoNewPrivs"]

    def _kill_processes_of(self, pod: str) -> None:
        """What a node's crash does; `--force` alone leaves the process its grace."""
        for pid in processes():
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            if f"POD_NAME={pod}".encode() in environment:
                os.kill(pid, signal.SIGKILL)

    def _somebody_was_oom_killed(self) -> bool:
        statuses = [each for pod in self.installation.pods() for each in pod["status"].get("containerStatuses", ())]
        ends = [status.get(part, {}).get("terminated") or {} for status in statuses for part in ("state", "lastState")]
        return any(end.get("reason") == "OOMKilled" for end in ends)

    def _versions(self) -> dict[str, str]:
        items = json.loads(self._kubectl("get", "mh", "-o", "json"))["items"]
        return {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in items}

    def _protection(self) -> Any:
        """Everything of ours outside, as the systems have it now."""
        worlds = self.rig.worlds
        objects = worlds.get("/checkpoint/objects", type="host")["objects"]
        workloads = worlds.get("/illumio/workloads")["workloads"]
        labels = {each["external_data_reference"]: (each["deleted"], each["labels"]) for each in workloads}
        return yaml.safe_dump([sorted((each["name"], sorted(each["groups"])) for each in objects), labels])

    def _effects(self) -> Counter[str]:
        """What was done outside, as numbers: scripts, publishes, installs of policy."""
        calls = self.rig.worlds.operator_calls()["checkpoint"]
        done = {"scripts": len(self.rig.worlds.scripts())}
        return Counter(done | {name: calls.get(name, 0) for name in ("publish", "install-policy")})

    def _polls(self, number: int) -> None:
        """So many more polls, by the lists of VMs or, where those are long, by looks for what changed."""
        entries = self.rig.worlds.ledger()
        since = entries[-1].seq if entries else 0

        def polled() -> bool:
            later = self.rig.worlds.ledger("azure", since=since)
            return sum(each.operation in {"vms.list", "graph.query"} for each in later) >= number

        self._until(polled, f"{number} more polls")

    def _until(self, look: Callable[[], object], what: str) -> None:
        self.rig.wait_until(look, seconds=_WAIT, what=what, pause=0.2)

    def _kubectl(self, *words: str) -> str:
        return self.rig.kubectl(*words)


def _status(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
