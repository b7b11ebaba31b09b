"""A private certificate authority for the simulated systems, and their servers' certificates.

`simulators.__main__` and the fixtures of tests call it once per run; clients verify against `ca.pem`. trustme makes the
certificates. What this module adds is files: an authority that stays the same when a run starts again in its folder,
and keys that only their owner can read (trustme writes with the umask's mode).
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from pathlib import Path

import trustme

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def make_authority(folder: Path) -> tuple[Path, Path]:
    """Make `ca.pem` and `ca.key` in `folder`, or return the existing ones."""
    certificate, key = folder / "ca.pem", folder / "ca.key"
    if not (certificate.exists() and key.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA(path_length=0, organization_unit_name="microseg simulators")
        write_file(key, authority.private_key_pem.bytes())
        write_file(certificate, authority.cert_pem.bytes(), mode=0o644)
    return certificate, key


def issue(folder: Path, name: str, hosts: Sequence[str] = LOOPBACK) -> tuple[Path, Path]:
    """Issue `<name>.pem` and `<name>.key` for `hosts` (addresses or DNS names), signed by the authority in `folder`."""
    authority_certificate, authority_key = make_authority(folder)
    authority = trustme.CA.from_pem(authority_certificate.read_bytes(), authority_key.read_bytes())
    issued = authority.issue_cert(*hosts, common_name=name)
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    write_file(key, issued.private_key_pem.bytes())
    write_file(certificate, issued.cert_chain_pems[0].bytes(), mode=0o644)
    return certificate, key


def ssl_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """A server's TLS context."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


def write_file(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Replace a file by one that has `mode` from its first byte: nobody else can ever read a private key."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
