"""The image's parts: layers that depend on content only, the SBOM from the locks, one place for the image's name."""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from importlib.metadata import requires
from pathlib import Path

import pytest
import yaml

from lab.image import archive, sbom
from lab.image.build import CACHE, DEBIAN_LOCK, PYTHON_LOCK, Plan, config, labels
from lab.image.debian import PACKAGES, Package, read_lock
from lab.image.environment import IMAGE_ENVIRONMENT
from lab.image.name import ROOT, project
from lab.image.problems import ImageFailed

PLAN = Plan("amd64", 1_700_000_000, CACHE, CACHE, "registry.test/microseg", "1")
CONTAINERFILE = (ROOT / "Containerfile").read_text(encoding="utf-8")


EIGHT_THREADS = """
import ctypes, threading

class Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes, libc.mallinfo2.restype = ctypes.c_void_p, [ctypes.c_void_p], Mallinfo2
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
together = threading.Barrier(8)

def allocate():
    together.wait()
    address = libc.malloc(1000)
    together.wait()
    libc.free(address)

threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
libc.mallinfo2()
before = libc.mallinfo2().uordblks
addresses = [libc.malloc(1000) for _ in range(7)]
for address in addresses: libc.free(address)
print("kept", libc.mallinfo2().uordblks - before, flush=True)
"""


def malloc_in(environment: Mapping[str, str]) -> tuple[int, int]:
    """Return how many heaps eight threads use, and the bytes of seven freed blocks that count as in use."""
    argv = [sys.executable, "-c", EIGHT_THREADS]
    out = subprocess.run(argv, env=dict(environment), capture_output=True, text=True, check=True).stdout
    return out.count("<heap nr="), int(out.rpartition("kept ")[2])


def tree(folder: Path, *, at: int) -> Path:
    folder.mkdir()
    for name in ("b", "a"):
        (folder / name).write_text(name, encoding="ascii")
        os.utime(folder / name, (at, at))
    (folder / "link").symlink_to("a")
    return folder


def test_a_layer_does_not_depend_on_times_or_order(tmp_path: Path) -> None:
    one, two = (archive.layer(tree(tmp_path / str(at), at=at), epoch=7) for at in (1, 2))
    assert one == two
    assert one.unpacked_bytes == 2


def test_a_layer_leaves_out_what_lower_layers_have(tmp_path: Path) -> None:
    folder = tree(tmp_path / "x", at=1)
    whole, rest = archive.layer(folder, epoch=7), archive.layer(folder, epoch=7, without=frozenset({"a", "link"}))
    assert (whole.unpacked_bytes, rest.unpacked_bytes) == (2, 1)


def test_an_archive_has_the_digest_that_it_says(tmp_path: Path) -> None:
    image = archive.Image([archive.layer(tree(tmp_path / "x", at=1), epoch=7)], config(PLAN), "amd64", "2023")
    digests = [archive.write(image, "registry.test/microseg:1", tmp_path / name) for name in ("1.tar", "2.tar")]
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()
    with tarfile.open(tmp_path / "1.tar") as packed:
        index = json.load(packed.extractfile("index.json") or pytest.fail("no index"))
    assert [each["digest"] for each in index["manifests"]] == digests[:1]


def test_the_image_runs_as_nobody_and_says_what_it_is() -> None:
    assert config(PLAN)["User"] == "65532:65532"
    assert labels(PLAN)["org.opencontainers.image.version"] == project()[1]


def test_the_containerfile_runs_as_make_image_does() -> None:
    made = config(PLAN)
    assert f"USER {made['User']}\n" in CONTAINERFILE
    assert f"WORKDIR {made['WorkingDir']}\n" in CONTAINERFILE
    assert f"ENTRYPOINT {json.dumps(made['Entrypoint'])}\n" in CONTAINERFILE
    assert f"CMD {json.dumps(made['Cmd'])}\n" in CONTAINERFILE
    assert f"ARG VERSION={project()[1]} " in CONTAINERFILE
    variables = " \\\n    ".join(config(PLAN)["Env"])
    assert f"ENV {variables}\n" in CONTAINERFILE


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="not glibc, or older than 2.33")
def test_in_the_images_environment_threads_share_two_heaps_and_keep_nothing_that_they_freed() -> None:
    heaps, kept = malloc_in({})
    assert heaps > 2
    assert kept > 0
    assert malloc_in(IMAGE_ENVIRONMENT) == (2, 0)


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_every_package_of_the_base_is_pinned_by_its_hash(architecture: str) -> None:
    packages = read_lock(DEBIAN_LOCK.read_text(encoding="ascii"), architecture)
    assert [package.name for package in packages] == sorted(PACKAGES)
    assert all(re.fullmatch(r"[0-9a-f]{64}", package.sha256) for package in packages)


def test_an_architecture_without_pins_is_refused() -> None:
    with pytest.raises(ImageFailed, match="make image-lock ARCH=riscv64"):
        read_lock("amd64 libc6 1 sha256:ab\n", "riscv64")


def test_the_bill_has_every_pin_with_its_hashes_and_is_the_same_twice() -> None:
    lock = PYTHON_LOCK.read_text(encoding="utf-8")
    pins = re.findall(r"^([a-z0-9.-]+)==", lock, re.MULTILINE)
    wheels = sbom.wheels(lock)
    assert [each["name"] for each in wheels] == pins
    assert all("hashes" in each or len(each["properties"]) > 1 for each in wheels)

    deb = Package("libc6", "1:2+deb", "amd64", "ab" * 32)
    text = sbom.document("1", [*wheels, *sbom.debs([deb])], created="2026-01-01T00:00:00Z")
    assert text == sbom.document("1", [*wheels, *sbom.debs([deb])], created="2026-01-01T00:00:00Z")
    document = json.loads(text)
    assert document["bomFormat"] == "CycloneDX"
    purls = {each["purl"] for each in document["components"]}
    assert "pkg:deb/debian/libc6@1%3A2%2Bdeb?arch=amd64&distro=bookworm" in purls
    assert set(document["dependencies"][0]["dependsOn"]) == purls


def test_the_build_requirements_are_pinned_as_for_development() -> None:
    development = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8")
    pins = re.findall(r"^\S+==\S+", (ROOT / "requirements" / "build.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert all(f"{pin} " in development for pin in pins)
    names = {pin.partition("==")[0] for pin in pins}
    needed = {"hatchling"}
    for name in [*names]:
        needed |= {re.match(r"[\w-]+", line)[0] for line in requires(name) or () if "extra ==" not in line}  # type: ignore[index]
    assert needed - names <= {"tomli"}  # of Python 3.10


def test_the_images_name_stands_in_one_place() -> None:
    repository, version = project()
    base = yaml.safe_load((ROOT / "manifests/kustomize/base/kustomization.yaml").read_text(encoding="utf-8"))
    assert base["images"] == [{"name": "microseg", "newName": repository, "newTag": version}]
