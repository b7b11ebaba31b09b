"""`python -m lab.image` (`make image`): builds the image, pins its Debian packages, or makes its root file system."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from lab.image import debian
from lab.image.archive import machine_architecture
from lab.image.build import CACHE, DEBIAN_LOCK, Plan, build, commit_time, root_file_system, start_seconds
from lab.image.name import ROOT, project
from lab.image.problems import ImageFailed
from lab.image.python_packages import prove_imports

_OUT = ROOT / "dist"
_LARGEST_ADDED = 120_000_000
_LONGEST_START = 0.4
_HEAD = "# Debian packages of the image's base, by `make image-lock`: architecture, name, version, hash of the .deb.\n"


def main() -> int:
    """Do what the arguments ask; return the exit code."""
    arguments = _parse()
    plan = Plan(arguments.arch, commit_time(), _OUT, _OUT / "work", arguments.repository, arguments.tag or project()[1])
    try:
        if arguments.lock:
            _lock()
        elif arguments.rootfs:
            root_file_system(plan, arguments.rootfs)
        else:
            return _image(plan, twice=arguments.twice)
    except ImageFailed as failure:
        sys.stderr.write(f"image: {failure}\n")
        return 1
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lab.image", description=__doc__)
    own = machine_architecture()
    parser.add_argument(
        "--arch", choices=["amd64", "arm64"], default=own, help="architecture (default: this machine's)"
    )
    parser.add_argument("--repository", default=project()[0], help="name of the image, with its registry")
    parser.add_argument("--tag", help="tag of the image (default: the version)")
    parser.add_argument("--twice", action="store_true", help="build it twice, and fail if the digests differ")
    parser.add_argument("--rootfs", type=Path, help="only make the root file system, in this empty folder")
    parser.add_argument("--lock", action="store_true", help="pin the newest Debian packages, for both architectures")
    return parser.parse_args()


def _lock() -> None:
    packages = [package for arch in ("amd64", "arm64") for package in debian.Apt(CACHE, arch).latest()]
    DEBIAN_LOCK.write_text(_HEAD + "".join(f"{package.line}\n" for package in packages), encoding="ascii")
    print(f"{DEBIAN_LOCK.relative_to(ROOT)}: {len(packages)} packages")


def _image(plan: Plan, *, twice: bool) -> int:
    built = build(plan)
    print(f"{built.name} {built.digest}")
    print(f"  archive  {built.archive.relative_to(ROOT)} {built.archive.stat().st_size / 1e6:.1f} MB")
    print(f"  SBOM     {built.sbom.relative_to(ROOT)}")
    print(f"  unpacked {built.base_bytes / 1e6:.1f} MB base + {built.added_bytes / 1e6:.1f} MB above it")
    bad = built.added_bytes > _LARGEST_ADDED
    if plan.architecture == machine_architecture():
        prove_imports(plan.work / "rootfs")
        seconds = start_seconds(plan.work / "rootfs")
        print(f"  microseg --version: {seconds:.2f} s (goal {_LONGEST_START} s)")
    if bad:
        sys.stderr.write(f"image: more than {_LARGEST_ADDED / 1e6:.0f} MB above the base\n")
    if twice:
        again = build(replace(plan, out=_OUT / "again", work=_OUT / "again" / "work"))
        print(f"  built again: {again.digest}")
        bad = bad or again.digest != built.digest
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
