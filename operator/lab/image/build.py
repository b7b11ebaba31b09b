"""One build of the image, from the locks and the source tree to an archive with its SBOM beside it."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab.image import archive, debian, sbom
from lab.image.environment import IMAGE_ENVIRONMENT
from lab.image.name import ROOT, project
from lab.image.python_packages import SITE, compile_all, install_locked, install_product, run_inside

USER = "65532:65532"
_STANDARD_LIBRARY = "usr/lib/python3.11"
_SBOM = "usr/local/share/microseg/sbom.cdx.json"
DEBIAN_LOCK = ROOT / "hack" / "image" / "debian.lock"
PYTHON_LOCK = ROOT / "requirements" / "run.txt"
CACHE = ROOT / "dist" / "cache"
"""Downloaded .debs, by their hashes."""


@dataclass(frozen=True, slots=True)
class Built:
    """An image that was built. Sizes are of its content, unpacked, in bytes."""

    archive: Path
    sbom: Path
    name: str
    digest: str
    base_bytes: int
    added_bytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What to build, where: `out` for results, `work` for what may be deleted afterwards."""

    architecture: str
    epoch: int
    out: Path
    work: Path
    repository: str
    tag: str


def root_file_system(plan: Plan, rootfs: Path) -> tuple[frozenset[str], frozenset[str]]:
    """Make the root file system in an empty folder; return the paths of its first layer, and of its first two."""
    packages = debian.read_lock(DEBIAN_LOCK.read_text(encoding="ascii"), plan.architecture)
    debian.unpack(debian.Apt(CACHE, plan.architecture).fetch(packages), rootfs)
    compile_all(rootfs, [_STANDARD_LIBRARY], plan.architecture)
    base = archive.paths(rootfs)
    install_locked(PYTHON_LOCK, rootfs, plan.architecture)
    compile_all(rootfs, [SITE], plan.architecture)
    libraries = archive.paths(rootfs)
    install_product(ROOT, rootfs, plan.work / "wheel", plan.epoch)
    compile_all(rootfs, [f"{SITE}/microseg"], plan.architecture)
    bill = rootfs / _SBOM
    bill.parent.mkdir(parents=True)
    bill.write_text(_bill(plan, packages), encoding="utf-8")
    return base, libraries


def build(plan: Plan) -> Built:
    """Build the archive `microseg-VERSION-ARCH.oci.tar` and `….cdx.json` in `plan.out`."""
    shutil.rmtree(plan.work, ignore_errors=True)
    rootfs = plan.work / "rootfs"
    rootfs.mkdir(parents=True)
    base, libraries = root_file_system(plan, rootfs)
    packed = [
        archive.layer(rootfs, epoch=plan.epoch, without=archive.paths(rootfs) - base),
        archive.layer(rootfs, epoch=plan.epoch, without=base | (archive.paths(rootfs) - libraries)),
        archive.layer(rootfs, epoch=plan.epoch, without=libraries),
    ]
    plan.out.mkdir(parents=True, exist_ok=True)
    stem = f"microseg-{project()[1]}-{plan.architecture}"
    name = f"{plan.repository}:{plan.tag}"
    image = archive.Image(packed, config(plan), plan.architecture, _when(plan.epoch))
    target = plan.out / f"{stem}.oci.tar"
    digest = archive.write(image, name, target)
    bill = plan.out / f"{stem}.cdx.json"
    bill.write_bytes((rootfs / _SBOM).read_bytes())
    return Built(target, bill, name, digest, packed[0].unpacked_bytes, sum(each.unpacked_bytes for each in packed[1:]))


def config(plan: Plan) -> dict[str, Any]:
    """Return how the image runs; `Containerfile` says the same, which a test compares."""
    return {
        "User": USER,
        "WorkingDir": "/tmp",  # noqa: S108 - the one folder that may be written
        "Entrypoint": ["/usr/local/bin/microseg"],
        "Cmd": ["run"],
        "Env": [f"{name}={value}" for name, value in IMAGE_ENVIRONMENT.items()],
        "Labels": labels(plan),
    }


def labels(plan: Plan) -> dict[str, str]:
    """Return the labels, by https://github.com/opencontainers/image-spec/blob/main/annotations.md."""
    key = "org.opencontainers.image"
    return {
        f"{key}.title": "microseg",
        f"{key}.description": "Brings every Azure VM under micro-segmentation.",
        f"{key}.version": project()[1],
        f"{key}.revision": _git("rev-parse", "HEAD"),
        f"{key}.created": _when(plan.epoch),
        f"{key}.licenses": "Apache-2.0",
        f"{key}.base.name": "debian:bookworm packages, hack/image/debian.lock",
    }


def commit_time() -> int:
    """Return the time of the last commit in seconds; 0 in a tree without git."""
    return int(_git("log", "-1", "--format=%ct") or "0")


def start_seconds(rootfs: Path, *, runs: int = 7) -> float:
    """Return how long `microseg --version` takes inside the image: the median of some runs, the first not counted."""
    took = []
    for _ in range(runs + 1):
        began = time.monotonic()
        run_inside(rootfs, ["/usr/local/bin/microseg", "--version"])
        took.append(time.monotonic() - began)
    return statistics.median(took[1:])


def _bill(plan: Plan, packages: list[debian.Package]) -> str:
    components = [*sbom.wheels(PYTHON_LOCK.read_text(encoding="utf-8")), *sbom.debs(packages)]
    return sbom.document(project()[1], components, created=_when(plan.epoch))


def _when(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _git(*words: str) -> str:
    """Return what git says; nothing where it or its repository is not, as in the build stage of `Containerfile`."""
    if shutil.which("git") is None:
        return ""
    done = subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
