"""Everything that the operator needs, in one folder: cluster, RBAC, simulators, Secrets, Estate, and the operator.

    with Rig.build(folder) as rig:
        rig.worlds.post("/azure/vms", {"name": "web1", "tags": {"app": "shop"}})
        rig.apply_estate()
        rig.operator.start()
        rig.wait_until(lambda: all(host.commissioned for host in rig.hosts()), seconds=60, what="all commissioned")

The demo, the benchmarks, the sweep and the integration tests use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

from kubernetes import client

from lab import cluster as clusters
from lab import estate, hosts
from lab.child import Begin, execute
from lab.cluster import ACCOUNT, OWN_NAMESPACE, Cluster
from lab.controlplane import ControlPlane
from lab.hosts import Host
from lab.operator_process import Operator, Tempo
from lab.processes import wait_until
from lab.worlds import Worlds

T = TypeVar("T")
Say = Callable[[str], None]
Install = Callable[[Cluster, str], object]


def _silent(_: str) -> None:
    """Say nothing."""


class Rig:
    """A complete installation. `build` makes one; the parts are its attributes."""

    def __init__(  # noqa: PLR0913 - as in `build`
        self,
        folder: Path,
        cluster: Cluster,
        worlds: Worlds,
        api: client.ApiClient,
        namespace: str,
        tempo: Tempo,
        *,
        module: str = "microseg",
        begin: Begin = execute,
        operator: Callable[[Mapping[str, str]], Operator] | None = None,
    ) -> None:
        """Use running parts; RBAC must be in force. The Estate does not exist yet. `module`: see Operator.

        `operator` makes the first replica, by its settings, if it is not a process beside the cluster.
        """
        self.folder = folder
        self.cluster = cluster
        self.worlds = worlds
        self.api = api
        self.namespace = namespace
        self.tempo = tempo
        self._module, self._begin = module, begin
        kubeconfig = folder / "operator.kubeconfig"
        self.operator_kubeconfig = cluster.kubeconfig_for_service_account(namespace, ACCOUNT, kubeconfig)
        self.operator = operator(self.settings()) if operator is not None else self.another_operator("operator")

    @classmethod
    @contextmanager
    def build(  # noqa: PLR0913 - each is a part that can be another one
        cls,
        folder: Path,
        *,
        cluster: Cluster | None = None,
        namespace: str = OWN_NAMESPACE,
        tempo: Tempo | None = None,
        audit: bool = False,
        module: str = "microseg",
        begin: Begin = execute,
        world_options: tuple[str, ...] = (),
        install: Install = clusters.prepare,
        operator: Callable[[Mapping[str, str]], Operator] | None = None,
        say: Say = _silent,
    ) -> Iterator[Self]:
        """Start everything, and stop it at the end: operator, simulators, and the control plane if it is the lab's.

        Without `cluster` a control plane is started, with `audit` on request. `module`: see Operator. `begin`: how the
        operator and the simulators begin. `world_options`: such as `--limits`. `install` and `operator`: how the
        operator gets into the cluster and runs, if not as a process beside it. `say` gets each step.
        """
        tempo = tempo or Tempo()
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            if cluster is None:
                say("starting a control plane: etcd and kube-apiserver")
                cluster = stack.enter_context(ControlPlane.start(folder / "control-plane", audit=audit))
            say(f"installing the operator's CRDs and RBAC on {cluster.url}")
            install(cluster, namespace)
            say(f"starting Azure, Illumio PCE and Check Point, {tempo.scale:g} times as fast as the real ones")
            worlds = Worlds.start(folder / "worlds", scale=tempo.scale, options=world_options, begin=begin)
            stack.callback(worlds.stop)
            worlds.make_pairing_profiles()
            worlds.grant_the_documented_role()
            api = cluster.api_client()
            stack.callback(api.close)
            rig = cls(folder, cluster, worlds, api, namespace, tempo, module=module, begin=begin, operator=operator)
            stack.callback(rig.operator.stop)
            yield rig

    def another_operator(self, name: str) -> Operator:
        """Return another replica, not started; the caller stops it."""
        where = (self.folder, self.operator_kubeconfig, self.namespace)
        return Operator(*where, self.settings(), name=name, module=self._module, begin=self._begin)

    def settings(self) -> dict[str, str]:
        """Return the settings of the operator's process, as environment variables."""
        azure = self.worlds.described["azure"]
        return self.tempo.environment() | {"MICROSEG_AZURE_CLOUDS": f"{azure['url']}|{azure['authority']}"}

    def apply_estate(
        self, change: Callable[[dict[str, Any]], None] | None = None, *, mapping: str | None = None
    ) -> None:
        """Apply Secrets, CA bundle, mapping and Estate. `change` may edit the Estate; `mapping` replaces the text."""
        documents = estate.documents(self.worlds, self.namespace, poll=self.tempo.poll, mapping=mapping)
        if change is not None:
            change(documents[-1])
        clusters.apply(self.cluster, documents)

    def kubectl(self, *args: str) -> str:
        """Run kubectl as administrator, in the operator's namespace."""
        return self.cluster.kubectl("-n", self.namespace, *args)

    def hosts(self) -> list[Host]:
        """Return every ManagedHost."""
        return hosts.read(self.api, self.namespace)

    def host(self, vm: str) -> Host | None:
        """Return the ManagedHost of a VM by name, or None."""
        return next((each for each in self.hosts() if each.vm == vm), None)

    def estate(self) -> dict[str, Any]:
        """Return the Estate as JSON."""
        return hosts.read_estate(self.api, self.namespace, estate.NAME)

    def wait_until(self, condition: Callable[[], T], *, seconds: float, what: str, pause: float = 0.05) -> T:
        """Poll `condition()` until it is truthy and return its value; raises NotInTime with the state of everything."""
        return wait_until(condition, seconds=seconds, what=what, otherwise=self.state, pause=pause)

    def state(self) -> str:
        """Return the state of everything, for the message of a failure."""
        lines = [f"{each.name:40} {each.stage:13} {_obstacle(each)}" for each in self.hosts()]
        calls = {system: sum(numbers.values()) for system, numbers in self.worlds.operator_calls().items()}
        log = "\n".join(self.operator.output().splitlines()[-30:])
        return "\n".join(["--- hosts:", *lines, f"--- calls: {calls}", f"--- end of {self.operator.log}:", log])


def _obstacle(host: Host) -> str:
    found = host.obstacle
    return f"{found.reason}: {found.message}" if found else ""
