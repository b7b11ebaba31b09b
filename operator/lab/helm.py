"""Helm, of version 4 or 3: used by the tests of the charts, the demo from the chart, and the end-to-end test."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.cluster import ROOT
from lab.programs import find_programs

CHARTS = ROOT / "manifests" / "helm"
CHART = CHARTS / "microseg"
CRD_CHART = CHARTS / "microseg-crds"


class HelmFailed(RuntimeError):
    """Helm ended with an error; the text is its standard error."""


@dataclass(frozen=True, slots=True)
class Helm:
    """One version of Helm (4 or 3); `kubeconfig` is needed for what asks a cluster, `wrapper` runs before it."""

    version: int
    folder: Path
    """Where it keeps its own settings and caches."""
    kubeconfig: Path | None = None
    wrapper: Sequence[str] = ()

    @property
    def program(self) -> Path:
        """The program; it is built, with progress on stderr, if necessary."""
        name = f"helm{self.version}"
        return find_programs(name) / name

    def run(self, *words: str, values: str = "") -> str:
        """Run it and return its standard output; `values` is a values file. Raises HelmFailed."""
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.folder),
            "HELM_CACHE_HOME": str(self.folder / "helm-cache"),
            "HELM_CONFIG_HOME": str(self.folder / "helm-config"),
            "HELM_DATA_HOME": str(self.folder / "helm-data"),
        }
        if self.kubeconfig is not None:
            environment["KUBECONFIG"] = str(self.kubeconfig)
        given = ["--values", "-"] if values else []
        argv = [*self.wrapper, str(self.program), *words, *given]
        done = subprocess.run(argv, input=values, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise HelmFailed(f"helm {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def template(self, chart: Path, *, namespace: str = "microseg", values: str = "", release: str = "microseg") -> str:
        """Render a chart without a cluster."""
        return self.run("template", release, str(chart), "--namespace", namespace, values=values)
