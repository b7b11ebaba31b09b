"""The image's base: Python and what it links, from Debian packages that `hack/image/debian.lock` pins by hash.

Uses apt with a state of its own, so that the machine's packages do not matter, and any architecture can be built. Needs
apt with sources of Debian, dpkg-deb and Debian's archive keys: Debian, or the build stage of `Containerfile`.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.image.problems import ImageFailed

PACKAGES = (
    "base-files",  # /etc/os-release, by which scanners know whose packages these are
    "libbz2-1.0",
    "libc6",
    "libcrypt1",
    "libexpat1",
    "libffi8",
    "libgcc-s1",
    "liblzma5",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "libssl3",
    "libuuid1",
    "media-types",
    "netbase",
    "python3.11-minimal",
    "zlib1g",
)
"""Python and what its modules link, without those that nothing here imports (sqlite, readline, curses, dbm, nis)."""
_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
_SOURCES = f"""\
deb [signed-by={_KEYS}] {{archive}} bookworm main
deb [signed-by={_KEYS}] {{archive}} bookworm-updates main
deb [signed-by={_KEYS}] {{security}} bookworm-security main
"""
_URI = re.compile(r"^'[^']+' (\S+)_(\S+)_(\S+)\.deb \d+ SHA256:([0-9a-f]{64})$", re.MULTILINE)
_DROPPED = (
    "usr/share/man",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/bug",
    "usr/lib/python3.11/lib2to3",
    "usr/lib/python3.11/pydoc_data",
    "usr/lib/python3.11/distutils",
    "usr/lib/python3.11/ensurepip",
    "usr/lib/python3.11/idlelib",
)
_ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/:/usr/sbin/nologin\nmicroseg:x:65532:65532:microseg:/tmp:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\nmicroseg:x:65532:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}


@dataclass(frozen=True, slots=True)
class Package:
    """One pinned Debian package; `sha256` is that of its .deb."""

    name: str
    version: str
    architecture: str
    sha256: str

    @property
    def line(self) -> str:
        """Its line in the lock file."""
        return f"{self.architecture} {self.name} {self.version} sha256:{self.sha256}"


def read_lock(text: str, architecture: str) -> list[Package]:
    """Return the packages of one architecture. Raises ImageFailed if there are none."""
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    found = [Package(name, version, arch, sha.removeprefix("sha256:")) for arch, name, version, sha in rows]
    wanted = [package for package in found if package.architecture == architecture]
    if not wanted:
        raise ImageFailed(f"no packages are pinned for {architecture}: run `make image-lock ARCH={architecture}`")
    return wanted


def _mirrors() -> dict[str, str]:
    """Where this machine gets Debian's packages from: its own mirror, so that none is named here.

    Raises ImageFailed where its apt knows none.
    """
    command = ("apt-get", "indextargets", "--format", "$(SITE) $(ORIGIN)", "Created-By: Packages")
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    sites = [line.split()[0] for line in answer.splitlines() if line.endswith(" Debian")]
    archive = next((site for site in sites if "security" not in site), "")
    security = next((site for site in sites if "security" in site), "")
    if not archive or not security:
        raise ImageFailed("this machine's apt has no Debian sources: build Containerfile with podman or docker instead")
    return {"archive": archive, "security": security}


class Apt:
    """Debian's archive, with a state of its own in `folder`."""

    def __init__(self, folder: Path, architecture: str) -> None:
        """Prepare the folder. Raises ImageFailed where apt is not."""
        for program in ("apt-get", "dpkg-deb"):
            if shutil.which(program) is None:
                raise ImageFailed(
                    f"{program} is not on this machine: build Containerfile with podman or docker instead"
                )
        self._folder = (folder / f"apt-{architecture}").resolve()
        self._architecture = architecture
        for name in ("state/lists/partial", "cache/archives/partial", "debs"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        (self._folder / "sources.list").write_text(_SOURCES.format_map(_mirrors()), encoding="ascii")
        (self._folder / "status").touch()

    def latest(self) -> list[Package]:
        """Return the newest version of every package of the base."""
        self._apt("update")
        answer = self._apt("download", "--print-uris", *PACKAGES)
        found = [
            Package(name, version.replace("%3a", ":").replace("%2b", "+"), arch, sha)
            for name, version, arch, sha in _URI.findall(answer)
        ]
        if {package.name for package in found} != set(PACKAGES):
            raise ImageFailed(f"apt knows no hash of every package; it answered: {answer}")
        return sorted((Package(p.name, p.version, self._architecture, p.sha256) for p in found), key=lambda p: p.name)

    def fetch(self, packages: Iterable[Package]) -> list[Path]:
        """Download the .debs that are not here yet, and verify each. Raises ImageFailed."""
        missing = [package for package in packages if not self._path(package).exists()]
        if missing:
            self._apt("update")
        for package in missing:
            self._download(package)
        return [self._path(package) for package in packages]

    def _download(self, package: Package) -> None:
        try:
            self._apt("download", f"{package.name}={package.version}", at=self._folder / "cache")
        except ImageFailed as failure:
            raise ImageFailed(
                f"Debian has no {package.name} {package.version} any more; usually a security update replaced it:"
                f" run `make image-lock` and commit hack/image/debian.lock ({failure})"
            ) from failure
        (got,) = (self._folder / "cache").glob(f"{package.name}_*.deb")
        if hashlib.sha256(got.read_bytes()).hexdigest() != package.sha256:
            got.unlink()
            raise ImageFailed(f"{got.name} is not the file that hack/image/debian.lock names")
        got.rename(self._path(package))

    def _path(self, package: Package) -> Path:
        return self._folder / "debs" / f"{package.sha256}.deb"

    def _apt(self, *words: str, at: Path | None = None) -> str:
        options = {
            "Dir::State": f"{self._folder}/state",
            "Dir::State::status": f"{self._folder}/status",
            "Dir::Cache": f"{self._folder}/cache",
            "Dir::Etc::sourcelist": f"{self._folder}/sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "APT::Architecture": self._architecture,
            "APT::Architectures": self._architecture,
            "APT::Sandbox::User": "",
        }
        argv = ["apt-get", "-q", *(f"-o{name}={value}" for name, value in options.items()), *words]
        done = subprocess.run(argv, cwd=at, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ImageFailed(f"apt-get {words[0]}: {done.stderr.strip()[-500:]}")
        return done.stdout


def unpack(debs: Sequence[Path], rootfs: Path) -> None:
    """Unpack the packages into an empty folder, as a root file system with a user 65532."""
    for name in ("bin", "lib", "lib64", "sbin"):
        (rootfs / "usr" / name).mkdir(parents=True)
        (rootfs / name).symlink_to(f"usr/{name}")
    status = rootfs / "var" / "lib" / "dpkg" / "status.d"
    status.mkdir(parents=True)
    for deb in debs:
        data = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE, check=True).stdout
        subprocess.run(
            ["tar", "-x", "--keep-directory-symlink", "--no-same-owner", "-C", rootfs], input=data, check=True
        )
        control = subprocess.run(["dpkg-deb", "--field", deb], stdout=subprocess.PIPE, text=True, check=True).stdout
        name = re.findall(r"^Package: (\S+)$", control, re.MULTILINE)[0]
        (status / name).write_text(control, encoding="utf-8")  # where scanners look for packages of such an image
    _trim(rootfs)


def _trim(rootfs: Path) -> None:
    for name in _DROPPED:
        shutil.rmtree(rootfs / name, ignore_errors=True)
    for path in (rootfs / "usr" / "share" / "doc").rglob("*"):
        if path.is_file() and path.name != "copyright":
            path.unlink()
    for name, text in _ACCOUNTS.items():
        (rootfs / name).write_text(text, encoding="ascii")
    for name in ("tmp", "proc", "sys", "dev", "run"):
        (rootfs / name).mkdir(exist_ok=True)
    (rootfs / "tmp").chmod(0o1777)
    (rootfs / "usr" / "bin" / "python3").symlink_to("python3.11")
