"""All that the operator needs, in one folder: cluster, rights, worlds, Secrets, Estate, and the operator as a process.

    with Rig.build(folder) as rig:
        rig.worlds.post("/azure/vms", {"name": "web1", "tags": {"app": "shop"}})
        rig.apply_estate()
        rig.operator.start()
        rig.wait_until(lambda: all(host.commissioned for host in rig.hosts()), seconds=60, what="all commissioned")

The demo, the bench and the integration tests stand on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

from kubernetes import client

from lab import cluster as clusters
from lab import estate, hosts
from lab.cluster import ACCOUNT, OWN_NAMESPACE, Cluster
from lab.controlplane import ControlPlane
from lab.hosts import Host
from lab.operator_process import Operator, Tempo
from lab.processes import wait_until
from lab.worlds import Worlds

T = TypeVar("T")
Say = Callable[[str], None]


def _silent(_: str) -> None:
    """Say nothing."""


class Rig:
    """A whole installation. `build` makes one; the parts are its attributes."""

    def __init__(
        self,
        folder: Path,
        cluster: Cluster,
        worlds: Worlds,
        api: client.ApiClient,
        namespace: str,
        tempo: Tempo,
        *,
        module: str = "microseg",
    ) -> None:
        """Join running parts; the rights must be in force. Nothing of the estate exists yet. `module`: see Operator."""
        self.folder = folder
        self.cluster = cluster
        self.worlds = worlds
        self.api = api
        self.namespace = namespace
        self.tempo = tempo
        self._module = module
        kubeconfig = folder / "operator.kubeconfig"
        self.operator_kubeconfig = cluster.kubeconfig_for_service_account(namespace, ACCOUNT, kubeconfig)
        self.operator = self.another_operator("operator")

    @classmethod
    @contextmanager
    def build(
        cls,
        folder: Path,
        *,
        cluster: Cluster | None = None,
        namespace: str = OWN_NAMESPACE,
        tempo: Tempo | None = None,
        audit: bool = False,
        module: str = "microseg",
        world_options: tuple[str, ...] = (),
        say: Say = _silent,
    ) -> Iterator[Self]:
        """Start what there must be, and stop it at the end: operator, worlds, and the control plane if it is ours.

        Without `cluster` a control plane is started, with `audit` on request. `module`: see Operator. `world_options`:
        such as `--limits`. `say` is told what is being waited for.
        """
        tempo = tempo or Tempo()
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            if cluster is None:
                say("starting a control plane: etcd and kube-apiserver")
                cluster = stack.enter_context(ControlPlane.start(folder / "control-plane", audit=audit))
            say(f"applying crds/ and manifests/kustomize/base to {cluster.url}")
            clusters.prepare(cluster, namespace)
            say(f"starting Azure, Illumio PCE and Check Point, {tempo.scale:g} times as fast as the real ones")
            worlds = Worlds.start(folder / "worlds", scale=tempo.scale, options=world_options)
            stack.callback(worlds.stop)
            worlds.make_pairing_profiles()
            api = cluster.api_client()
            stack.callback(api.close)
            rig = cls(folder, cluster, worlds, api, namespace, tempo, module=module)
            stack.callback(rig.operator.stop)
            yield rig

    def another_operator(self, name: str) -> Operator:
        """Another replica, not started; the caller stops it."""
        settings = self.tempo.environment()
        return Operator(self.folder, self.operator_kubeconfig, self.namespace, settings, name=name, module=self._module)

    def apply_estate(
        self, change: Callable[[dict[str, Any]], None] | None = None, *, mapping: str | None = None
    ) -> None:
        """Apply Secrets, CA bundle, mapping and Estate. `change` may alter the Estate, `mapping` is another's text."""
        documents = estate.documents(self.worlds, self.namespace, poll=self.tempo.poll, mapping=mapping)
        if change is not None:
            change(documents[-1])
        clusters.apply(self.cluster, documents)

    def kubectl(self, *args: str) -> str:
        """Run kubectl as administrator, in the operator's namespace."""
        return self.cluster.kubectl("-n", self.namespace, *args)

    def hosts(self) -> list[Host]:
        """Every ManagedHost."""
        return hosts.read(self.api, self.namespace)

    def host(self, vm: str) -> Host | None:
        """The ManagedHost of a VM's name; None where there is none yet."""
        return next((each for each in self.hosts() if each.vm == vm), None)

    def estate(self) -> dict[str, Any]:
        """The Estate as JSON."""
        return hosts.read_estate(self.api, self.namespace, estate.NAME)

    def wait_until(self, condition: Callable[[], T], *, seconds: float, what: str, pause: float = 0.05) -> T:
        """Look until `condition()` is truthy and return its value; NotInTime tells how everything stood."""
        return wait_until(condition, seconds=seconds, what=what, otherwise=self.state, pause=pause)

    def state(self) -> str:
        """How everything stands, for a message about a failure."""
        lines = [f"{each.name:40} {each.stage:13} {_obstacle(each)}" for each in self.hosts()]
        calls = {system: sum(numbers.values()) for system, numbers in self.worlds.operator_calls().items()}
        log = "\n".join(self.operator.output().splitlines()[-30:])
        return "\n".join(["--- hosts:", *lines, f"--- calls: {calls}", f"--- the end of {self.operator.log}:", log])


def _obstacle(host: Host) -> str:
    found = host.obstacle
    return f"{found.reason}: {found.message}" if found else ""
