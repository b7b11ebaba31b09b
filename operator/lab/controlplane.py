"""A real Kubernetes control plane on loopback: etcd and kube-apiserver as child processes.

Used by the demo, the benchmarks and the integration tests. RBAC, the default admission plug-ins and NodeRestriction are
on; TLS is everywhere. There is no controller manager: namespaces never finish their deletion, nothing is garbage
collected, and ServiceAccounts must be created.

What the flags do: https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/
and https://etcd.io/docs/v3.6/op-guide/configuration/
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import yaml
from kubernetes import client, config

from lab.pki import Authority, Pair, make_token_key
from lab.processes import Process, answers, free_port
from lab.programs import find_programs
from simulators.certificates import write_file
from simulators.server import in_url

_START_SECONDS = 60.0
_TOKEN_SECONDS = 24 * 3600

_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [{"level": "RequestResponse", "resources": [{"group": "microseg.dev"}]}, {"level": "Metadata"}],
}
"""Metadata only for everything else: bodies of Secrets and tokens stay out of the log."""


class KubectlFailed(RuntimeError):
    """kubectl failed; the text is its standard error."""


@dataclass(frozen=True, slots=True)
class _Ports:
    api: int
    etcd: int
    peer: int


class ControlPlane:
    """One etcd and one kube-apiserver with their state in one folder. A context manager that stops them.

    `url`, `ca_file` and `admin_kubeconfig` stay the same over every restart, of one part or of the whole in the same
    folder.
    """

    programs = ""
    """Which programs it needs; see `lab.programs`."""
    loopback = "127.0.0.1"
    """The one address on which the API server listens; Services have addresses of its family."""

    def __init__(self, folder: Path, *, audit: bool = False) -> None:
        """Prepare to run in `folder`, with its state or a new one. Nothing runs yet."""
        self.folder = folder.resolve()
        self.audit_log: Path | None = self.folder / "audit.jsonl" if audit else None
        self._programs = find_programs(self.programs)
        self._etcd: Process | None = None
        self._apiserver: Process | None = None
        self._pki = self.folder / "pki"
        self._ports = self._lay_out()

    @classmethod
    def start(cls, folder: Path, *, audit: bool = False) -> Self:
        """Run a control plane in `folder` and return it when its API server is ready (about 3 s).

        With `audit`, `audit_log` is a file of JSON lines, one audit event (audit.k8s.io/v1) per finished request:
        with bodies for microseg.dev, only metadata for the rest.
        """
        plane = cls(folder, audit=audit)
        try:
            plane.start_etcd()
            plane.start_apiserver()
        except BaseException:
            plane.kill()
            raise
        return plane

    @property
    def url(self) -> str:
        """The API server's address."""
        return f"https://{in_url(self.loopback)}:{self._ports.api}"

    @property
    def ca_file(self) -> Path:
        """What verifies the API server's certificate."""
        return self._pki / "ca.crt"

    @property
    def admin_kubeconfig(self) -> Path:
        """A kubeconfig that may do everything (group system:masters)."""
        return self.folder / "admin.kubeconfig"

    @property
    def kubectl_program(self) -> Path:
        """The kubectl that belongs to this API server."""
        return self._programs / "kubectl"

    @property
    def etcd_access(self) -> tuple[str, Pair]:
        """The address of etcd and a client certificate, to read below the API server."""
        return f"https://127.0.0.1:{self._ports.etcd}", Pair(self._pki / "apiserver.crt", self._pki / "apiserver.key")

    @property
    def apiserver(self) -> Process:
        """The running API server, for tests that read its log or kill it."""
        if self._apiserver is None:
            raise RuntimeError("the API server is stopped")
        return self._apiserver

    def kubectl(self, *args: str, input: str | None = None, kubeconfig: Path | None = None) -> str:  # noqa: A002 - as in subprocess.run
        """Run kubectl, as admin or with `kubeconfig`, and return its standard output. Raises KubectlFailed."""
        environment = {
            "KUBECONFIG": str(kubeconfig or self.admin_kubeconfig),
            "KUBECACHEDIR": str(self.folder / "kubectl-cache"),
            "HOME": str(self.folder),
            "PATH": os.environ.get("PATH", ""),
        }
        done = subprocess.run(
            [self.kubectl_program, *args], input=input, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise KubectlFailed(f"kubectl {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout

    def api_client(self, kubeconfig: Path | None = None) -> client.ApiClient:
        """Return the official client for this API server, as admin or with `kubeconfig`; the caller closes it."""
        settings = client.Configuration()
        config.load_kube_config(str(kubeconfig or self.admin_kubeconfig), client_configuration=settings)  # type: ignore[no-untyped-call]
        settings.proxy = None  # loopback: whatever the environment says about proxies
        return client.ApiClient(settings)

    def kubeconfig_for_service_account(self, namespace: str, name: str, path: Path) -> Path:
        """Write to `path` a kubeconfig with a fresh token (24 h) of an existing ServiceAccount; return `path`.

        Its holder may do what RBAC allows that account, which is nothing until it is bound to a role.
        """
        spec = client.V1TokenRequestSpec(audiences=[self.url], expiration_seconds=_TOKEN_SECONDS)
        request = client.AuthenticationV1TokenRequest(spec=spec)
        with self.api_client() as api:
            answer = client.CoreV1Api(api).create_namespaced_service_account_token(name, namespace, request)
        self._write_kubeconfig(path, name, {"token": _token(answer)}, namespace)
        return path

    def start_etcd(self) -> None:
        """Start etcd and wait until it serves."""
        pair = Pair(self._pki / "etcd.crt", self._pki / "etcd.key")
        url, peer = f"https://127.0.0.1:{self._ports.etcd}", f"https://127.0.0.1:{self._ports.peer}"
        flags: dict[str, object] = {
            "name": "lab",
            "data-dir": self.folder / "etcd",
            "listen-client-urls": url,
            "advertise-client-urls": url,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"lab={peer}",
            "client-cert-auth": "true",
            "trusted-ca-file": self.ca_file,
            "cert-file": pair.certificate,
            "key-file": pair.key,
            "peer-client-cert-auth": "true",
            "peer-trusted-ca-file": self.ca_file,
            "peer-cert-file": pair.certificate,
            "peer-key-file": pair.key,
            "unsafe-no-fsync": "true",  # the speed of the disk is not measured or tested here
        }
        self._etcd = self._run("etcd", flags, {})
        self._etcd.wait_for_line("ready to serve client requests", seconds=_START_SECONDS)

    def start_apiserver(self) -> None:
        """Start the API server and wait until /readyz says yes."""
        # Less garbage collection: the tests' machines have spare memory, but only two cores.
        self._apiserver = self._run("kube-apiserver", self._apiserver_flags(), {"GOGC": "400"})
        ready = f"{self.url}/readyz"
        self._apiserver.wait_for_url(ready, seconds=_START_SECONDS, ca_file=self.ca_file)

    def _apiserver_flags(self) -> dict[str, object]:
        serving = Pair(self._pki / "apiserver.crt", self._pki / "apiserver.key")
        tokens = Pair(self._pki / "tokens.pub", self._pki / "tokens.key")
        flags: dict[str, object] = {
            "bind-address": self.loopback,
            "secure-port": self._ports.api,
            "advertise-address": self.loopback,  # otherwise it looks for a network, which a sandbox may not have
            "endpoint-reconciler-type": "none",  # nobody uses the Service `kubernetes`
            "tls-cert-file": serving.certificate,
            "tls-private-key-file": serving.key,
            "client-ca-file": self.ca_file,
            "etcd-servers": f"https://127.0.0.1:{self._ports.etcd}",
            "etcd-cafile": self.ca_file,
            "etcd-certfile": serving.certificate,
            "etcd-keyfile": serving.key,
            "service-account-issuer": self.url,
            "service-account-signing-key-file": tokens.key,
            "service-account-key-file": tokens.certificate,
            "authorization-mode": "RBAC",
            "enable-admission-plugins": "NodeRestriction",
            "service-cluster-ip-range": "fd00:96::/112" if ":" in self.loopback else "10.96.0.0/24",
            "profiling": "false",
        }
        if self.audit_log is not None:
            policy = self.folder / "audit-policy.yaml"
            policy.write_text(yaml.safe_dump(_AUDIT_POLICY), encoding="utf-8")
            flags |= {"audit-policy-file": policy, "audit-log-path": self.audit_log, "audit-log-maxsize": 4096}
        return flags

    def stop_apiserver(self) -> None:
        """Stop the API server, as an outage; etcd and the state stay."""
        self.apiserver.terminate()
        self._apiserver = None

    def restart_apiserver(self) -> None:
        """Stop the API server and start it on the same port and state; watches and connections break."""
        self.stop_apiserver()
        self.start_apiserver()

    def is_ready(self) -> bool:
        """Return whether /readyz answers 200."""
        return answers(f"{self.url}/readyz", ca_file=self.ca_file)

    def stop(self) -> None:
        """Stop both in order. The folder stays and can be started again."""
        for process in filter(None, (self._apiserver, self._etcd)):
            process.terminate(grace=5.0)
        self._apiserver = self._etcd = None

    def kill(self) -> None:
        """Kill both at once."""
        for process in filter(None, (self._apiserver, self._etcd)):
            process.kill()
        self._apiserver = self._etcd = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop."""
        self.stop()

    def _run(self, program: str, flags: dict[str, object], env: dict[str, str]) -> Process:
        argv = [str(self._programs / program), *(f"--{name}={value}" for name, value in flags.items())]
        # Not the caller's environment: ETCD_* variables, for one, are flags to etcd.
        return Process(program, argv, log=self.folder / f"{program}.log", env=env | {"HOME": str(self.folder)})

    def _lay_out(self) -> _Ports:
        """Return the ports saved in the folder, or choose ports and make certificates and kubeconfig."""
        memory = self.folder / "ports.json"
        if memory.exists():
            return _Ports(**json.loads(memory.read_text(encoding="utf-8")))
        authority = Authority.make(self._pki)
        authority.sign("etcd", user="etcd")
        self._sign(authority)
        admin = authority.sign("admin", user="admin", group="system:masters")
        make_token_key(self._pki)
        self._ports = ports = _Ports(free_port(), free_port(), free_port())
        identity = {"client-certificate-data": _embedded(admin.certificate), "client-key-data": _embedded(admin.key)}
        self._write_kubeconfig(self.admin_kubeconfig, "admin", identity, "default")
        memory.write_text(json.dumps({"api": ports.api, "etcd": ports.etcd, "peer": ports.peer}), encoding="utf-8")
        return ports

    def _sign(self, authority: Authority) -> None:
        """Make the certificates of the servers and of their own clients."""
        authority.sign("apiserver", user="kube-apiserver")

    def _write_kubeconfig(self, path: Path, user: str, identity: dict[str, str], namespace: str) -> None:
        cluster = {"server": self.url, "certificate-authority-data": _embedded(self.ca_file)}
        context = {"cluster": "lab", "user": user, "namespace": namespace}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "lab",
            "clusters": [{"name": "lab", "cluster": cluster}],
            "users": [{"name": user, "user": identity}],
            "contexts": [{"name": "lab", "context": context}],
        }
        write_file(path, yaml.safe_dump(document).encode())


def _embedded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()


def _token(answer: client.AuthenticationV1TokenRequest) -> str:
    if answer.status is None or not answer.status.token:
        raise RuntimeError("the API server answered a token request without a token")
    return str(answer.status.token)
