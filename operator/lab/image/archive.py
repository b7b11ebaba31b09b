"""An OCI image as one file: layers whose bytes depend on their content only, a config, a manifest, an index.

Source: https://github.com/opencontainers/image-spec (layer.md, config.md, image-layout.md)
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
"""What a machine calls itself -> what OCI and Debian call its architecture."""
_MEDIA = "application/vnd.oci.image"


def machine_architecture() -> str:
    """Return this machine's architecture as OCI and Debian call it."""
    return MACHINES.get(platform.machine(), platform.machine())


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its compressed bytes, the digest of its tar, and how large it is unpacked."""

    packed: bytes
    diff_id: str
    unpacked_bytes: int


@dataclass(frozen=True, slots=True)
class Image:
    """What is put together: layers from the lowest up, and what runs."""

    layers: Sequence[Layer]
    config: Mapping[str, Any]
    architecture: str
    created: str


def layer(folder: Path, *, epoch: int, without: frozenset[str] = frozenset()) -> Layer:
    """Pack a folder, except the paths of lower layers; every owner is root and every time is `epoch`."""
    raw = io.BytesIO()
    size = 0
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder))
            if name in without:
                continue
            entry = archive.gettarinfo(path, name)
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = epoch
            if entry.isreg():
                size += entry.size
                with path.open("rb") as content:
                    archive.addfile(entry, content)
            else:
                archive.addfile(entry)
    data = raw.getvalue()
    return Layer(gzip.compress(data, 6, mtime=0), _digest(data), size)


def paths(folder: Path) -> frozenset[str]:
    """Return every path of a folder, as `layer` compares them."""
    return frozenset(str(path.relative_to(folder)) for path in folder.rglob("*"))


def write(image: Image, name: str, out: Path) -> str:
    """Write the archive; return the digest of the manifest. `name`: such as `registry/microseg:0.1.0`."""
    blobs: dict[str, bytes] = {}

    def put(content: bytes) -> dict[str, Any]:
        blobs[_digest(content)] = content
        return {"digest": _digest(content), "size": len(content)}

    layers = [{"mediaType": f"{_MEDIA}.layer.v1.tar+gzip"} | put(layer.packed) for layer in image.layers]
    config = {
        "created": image.created,
        "architecture": image.architecture,
        "os": "linux",
        "config": dict(image.config),
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in image.layers]},
        "history": [{"created": image.created, "created_by": "make image"} for _ in image.layers],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_MEDIA}.manifest.v1+json",
        "config": {"mediaType": f"{_MEDIA}.config.v1+json"} | put(_json(config)),
        "layers": layers,
        "annotations": image.config["Labels"],
    }
    described = {"mediaType": f"{_MEDIA}.manifest.v1+json"} | put(_json(manifest))
    described["platform"] = {"architecture": image.architecture, "os": "linux"}
    described["annotations"] = {
        "io.containerd.image.name": name,
        "org.opencontainers.image.ref.name": name.rpartition(":")[2],
    }
    index = {"schemaVersion": 2, "mediaType": f"{_MEDIA}.index.v1+json", "manifests": [described]}
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": _json(index)}
    files |= {f"blobs/sha256/{digest.removeprefix('sha256:')}": blobs[digest] for digest in sorted(blobs)}
    with tarfile.open(out, "w") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return str(described["digest"])


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def only_base(archive_file: Path, name: str, out: Path, config: Mapping[str, Any]) -> None:
    """Write a second image with only the lowest layer of an archive, and another config: a node's pause image."""
    with tarfile.open(archive_file) as packed:

        def read(path: str) -> bytes:
            member = packed.extractfile(path)
            return member.read() if member is not None else b""

        def blob(described: Mapping[str, Any]) -> bytes:
            return read(f"blobs/sha256/{described['digest'].removeprefix('sha256:')}")

        manifest = json.loads(blob(json.loads(read("index.json"))["manifests"][0]))
        told = json.loads(blob(manifest["config"]))
        base = Layer(blob(manifest["layers"][0]), told["rootfs"]["diff_ids"][0], 0)
    write(Image([base], {"Labels": {}, **config}, told["architecture"], told["created"]), name, out)
