"""The certificates of one control plane: an authority, and the certificates of its servers and its clients.

Called by `lab.controlplane`. trustme makes them. The API server knows a client by its certificate: the common name is
the user, the organisation is the group. (The simulated systems have an authority of their own: whoever trusts the one
must not thereby trust the other.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from simulators.certificates import LOOPBACK, write_file


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, as PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs certificates into one folder; its own is `ca.crt` there. Its key stays in memory."""

    folder: Path
    ca: trustme.CA

    @classmethod
    def make(cls, folder: Path) -> Self:
        """Make a new authority and write `ca.crt`."""
        folder.mkdir(parents=True, exist_ok=True)
        made = cls(folder, trustme.CA(path_length=0, organization_unit_name="microseg lab control plane"))
        write_file(folder / "ca.crt", made.ca.cert_pem.bytes())
        return made

    def sign(self, file_name: str, *, user: str, group: str | None = None, hosts: Sequence[str] = ()) -> Pair:
        """Write `<file_name>.crt` and `.key`: for a server on loopback and `hosts`, and a client `user` of `group`.

        Without `group` the organisation is trustme's own name, a group that no role is bound to.
        """
        issued = self.ca.issue_cert(*LOOPBACK, *hosts, common_name=user, organization_name=group)
        pair = Pair(self.folder / f"{file_name}.crt", self.folder / f"{file_name}.key")
        write_file(pair.certificate, issued.cert_chain_pems[0].bytes())
        write_file(pair.key, issued.private_key_pem.bytes())
        return pair


def make_token_key(folder: Path) -> Pair:
    """Write the key that signs ServiceAccount tokens, and its public half (as the pair's `certificate`).

    A bare key pair without a certificate, which is not trustme's business.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    pair = Pair(folder / "tokens.pub", folder / "tokens.key")
    write_file(pair.key, private)
    write_file(pair.certificate, public)
    return pair
