"""The process's settings: frozen, read once from the command line and the environment. `application.py` reads them.

What concerns an estate stands in its Estate; here is only what concerns the process, and the pauses of the effect
protocol, which a person tunes to the vendor's real times.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, fields

from microseg.engine.ground.engine_settings import EngineSettings
from microseg.stages.context import Timing


class SettingsError(ValueError):
    """A setting that cannot be used; `str()` names the variable, the value and what is expected."""


_NAMESPACES = ("microseg",)
_ANYWHERE = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """One process."""

    namespaces: tuple[str, ...] = _NAMESPACES
    """Namespaces whose Estates are reconciled (`--namespace`, which may be repeated; else POD_NAMESPACE)."""
    kubeconfig: str | None = None
    """Set by KUBECONFIG; without it the Pod's ServiceAccount is used."""
    identity: str = ""
    """Who holds the Lease: POD_NAME or the host's name, and a random suffix."""
    probe_host: str = _ANYWHERE
    """MICROSEG_PROBE_HOST: address of that port; empty: all of IPv4 and IPv6, because the kubelet asks from outside."""
    probe_port: int = 8080
    """MICROSEG_PROBE_PORT: port of /healthz, /readyz and /metrics."""
    log_format: str = "json"
    """MICROSEG_LOG: json, or text for people."""
    verbose: bool = False
    """`--verbose`: decisions are logged too."""
    installer_expected: float = 300.0
    """MICROSEG_INSTALLER_EXPECTED: seconds after which a started script is looked at first."""
    look_pause: float = 15.0
    """MICROSEG_LOOK_PAUSE: seconds between two looks at one run-command."""
    retry_pause: float = 60.0
    """MICROSEG_RETRY_PAUSE: seconds after a first failed attempt; five times as long after each further one."""
    task_pause: float = 2.0
    """MICROSEG_TASK_PAUSE: seconds between two looks at a Check Point task."""
    install_patience: float = 60.0
    """MICROSEG_INSTALL_PATIENCE: seconds that a wanted install waits for publishes that still come."""
    lease_seconds: float = 12.0
    """MICROSEG_LEASE_SECONDS: after so long without renewal another replica takes over."""

    shortest_poll: float = 10.0
    """MICROSEG_SHORTEST_POLL: seconds; an Estate with a shorter pollInterval is not reconciled (SpecInvalid)."""

    azure_clouds: tuple[str, ...] = ()
    """MICROSEG_AZURE_CLOUDS: custom clouds that Estates may name, each `resourceManager|authority`, with commas."""
    azure_clients: tuple[str, ...] = ()
    """MICROSEG_AZURE_CLIENTS: client ids that Estates may use, each `namespace=clientId`, with commas, and nothing
    after the sign for the system-assigned identity; empty: any with a client secret, any workload identity where the
    process serves one namespace, and no managed identity."""

    @property
    def engine(self) -> EngineSettings:
        """What concerns the engine of each estate."""
        timing = Timing(expected=self.installer_expected, look_pause=self.look_pause, retry_pause=self.retry_pause)
        return EngineSettings(timing, self.task_pause, self.install_patience)


_NUMBERS = {
    "installer_expected": (1.0, 7200.0),
    "look_pause": (0.2, 600.0),
    "retry_pause": (0.2, 3600.0),
    "task_pause": (0.1, 60.0),
    "install_patience": (0.0, 3600.0),
    "lease_seconds": (5.0, 300.0),
    "shortest_poll": (0.0, 3600.0),
}
"""Setting -> the least and the most that make sense, in seconds."""


def load(
    environment: Mapping[str, str] = os.environ, *, namespaces: tuple[str, ...] = (), verbose: bool = False
) -> Settings:
    """Read the settings. Raises SettingsError with one sentence for a value that cannot be used."""
    named = (environment["POD_NAMESPACE"],) if environment.get("POD_NAMESPACE") else ()
    defaults = {field.name: field.default for field in fields(Settings)}
    numbers = {name: _number(environment, name, float(str(defaults[name]))) for name in _NUMBERS}
    log_format = environment.get("MICROSEG_LOG", "json")
    if log_format not in {"json", "text"}:
        raise SettingsError(f"MICROSEG_LOG is {log_format!r}; it is json or text")
    pod = environment.get("POD_NAME") or socket.gethostname()
    return Settings(
        namespaces=namespaces or named or _NAMESPACES,
        kubeconfig=environment.get("KUBECONFIG") or None,
        identity=f"{pod}_{secrets.token_hex(4)}",
        probe_host=environment.get("MICROSEG_PROBE_HOST", _ANYWHERE),
        probe_port=_port(environment.get("MICROSEG_PROBE_PORT", "8080")),
        log_format=log_format,
        verbose=verbose,
        azure_clouds=_listed(environment, "MICROSEG_AZURE_CLOUDS", r"[^|]+\|[^|]+", "resourceManager|authority"),
        azure_clients=_listed(environment, "MICROSEG_AZURE_CLIENTS", "[^=]+=[^=]*", "namespace=clientId"),
        **numbers,
    )


def _listed(environment: Mapping[str, str], variable: str, pattern: str, form: str) -> tuple[str, ...]:
    """Pairs with commas between them."""
    pairs = tuple(part.strip() for part in environment.get(variable, "").split(",") if part.strip())
    for pair in pairs:
        if re.fullmatch(pattern, pair) is None:
            raise SettingsError(f"{variable} has {pair!r}; each of it is {form}")
    return pairs


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    variable = f"MICROSEG_{name.upper()}"
    text = environment.get(variable)
    if text is None:
        return default
    least, most = _NUMBERS[name]
    try:
        value = float(text)
    except ValueError:
        raise SettingsError(f"{variable} is {text!r}; it is a number of seconds") from None
    if not least <= value <= most:
        raise SettingsError(f"{variable} is {text}; it is between {least:g} and {most:g} seconds")
    return value


def _port(text: str) -> int:
    if not text.isdigit() or not 0 <= int(text) <= 65535:
        raise SettingsError(f"MICROSEG_PROBE_PORT is {text!r}; it is a port between 0 and 65535")
    return int(text)
