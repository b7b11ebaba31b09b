"""What the image adds to Python: the pinned wheels of `requirements/run.txt`, and the wheel of microseg itself.

pip downloads by hash; the product's wheel is built offline, by the hatchling that this Python has already.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from lab.image.problems import ImageFailed

SITE = "usr/local/lib/python3.11/dist-packages"
"""Where Debian's Python looks for packages that Debian did not make."""
_WHEELS = {"amd64": "x86_64", "arm64": "aarch64"}
_NEVER_IMPORTED = ("kubernetes/aio", "azure/mgmt/compute/aio", "certifi/tests", "websocket/tests")
"""The asyncio twins of clients that are used from threads, and tests: a third of what the wheels weigh."""
_IMPORTS = "import microseg.handlers.lifecycle, microseg.application, microseg.cli.arguments, microseg.build_gateways"
_SCRIPT = """\
#!/usr/bin/python3.11 -I
import sys

from microseg.__main__ import main

sys.exit(main())
"""


def install_locked(requirements: Path, rootfs: Path, architecture: str) -> None:
    """Install what the lock file pins, wheels only, each verified by its hash."""
    platforms = [f"--platform=manylinux_2_{minor}_{_WHEELS[architecture]}" for minor in (17, 28, 34)]
    platforms.append(f"--platform=manylinux2014_{_WHEELS[architecture]}")
    _pip(
        *("--require-hashes", "--no-deps", "--only-binary=:all:", "--implementation=cp", "--python-version=3.11"),
        *("--abi=cp311", "--abi=abi3", "--abi=none", *platforms, "--target", str(rootfs / SITE)),
        *("-r", str(requirements)),
    )
    _trim(rootfs / SITE)


def install_product(source: Path, rootfs: Path, workshop: Path, epoch: int) -> Path:
    """Build the wheel from the source tree, without network, and install it; return the wheel."""
    workshop.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(max(epoch, 315532800))}  # a zip cannot be older than 1980
    _run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(workshop.resolve())],
        at=source,
        env=environment,
    )
    (wheel,) = workshop.glob("microseg-*.whl")
    _pip("--no-deps", "--no-index", "--target", str(rootfs / SITE), str(wheel))
    _trim(rootfs / SITE)
    program = rootfs / "usr" / "local" / "bin" / "microseg"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(_SCRIPT, encoding="ascii")
    program.chmod(0o755)
    return wheel


def prove_imports(rootfs: Path) -> None:
    """Import what the operator imports, inside the image. Raises ImageFailed if something is missing."""
    run_inside(rootfs, ["/usr/bin/python3.11", "-I", "-c", _IMPORTS])


def compile_all(rootfs: Path, folders: Sequence[str], architecture: str) -> None:
    """Write .pyc files that do not look at times: the file system is read-only, and the start must be fast."""
    argv = ["/usr/bin/python3.11", "-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    inner = [*argv, *(f"/{folder}" for folder in folders)]
    if _WHEELS.get(architecture) == platform.machine():
        run_inside(rootfs, inner)
        return
    python = shutil.which("python3.11")
    if python is None:
        raise ImageFailed(f"compiling for {architecture} on {platform.machine()} needs a python3.11 on this machine")
    for folder in folders:
        _run([python, *argv[1:], "-s", str(rootfs), "-p", "/", str(rootfs / folder)])


def run_inside(rootfs: Path, argv: Sequence[str]) -> str:
    """Run a program with the root file system as its root; return its standard output. Raises ImageFailed."""
    enter = ["chroot"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "chroot"]
    env = {"PATH": "/usr/local/bin:/usr/bin", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    return _run([*enter, str(rootfs), *argv], env=env | {"PATH": f"{env['PATH']}:/usr/sbin:/bin"})


def _trim(site: Path) -> None:
    """Remove what depends on this machine or on the moment, and what never runs."""
    for path in [*site.rglob("__pycache__"), site / "bin", *(site / name for name in _NEVER_IMPORTED)]:
        shutil.rmtree(path, ignore_errors=True)
    for path in [*site.rglob("RECORD"), *site.rglob("direct_url.json"), *site.rglob("REQUESTED"), *site.rglob("*.pyx")]:
        path.unlink()


def _pip(*words: str) -> None:
    _run([sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check", *words])


def _run(argv: Sequence[str], *, at: Path | None = None, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(argv, cwd=at, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ImageFailed(f"{' '.join(argv[:6])}: {(done.stderr or done.stdout).strip()[-1500:]}")
    return done.stdout
