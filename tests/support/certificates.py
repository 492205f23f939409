"""Certificates for servers of one test run, and an authority that signed none of them."""

from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)


@dataclass(frozen=True, slots=True)
class Certificates:
    """Paths of PEM files: the authority, another one, and a server's certificate and key for 127.0.0.1."""

    authority: Path
    stranger: Path
    certificate: Path
    key: Path


def make_certificates(folder: Path) -> Certificates:
    """Make an authority and have it sign a server's certificate."""
    folder.mkdir(parents=True, exist_ok=True)
    files = Certificates(*(folder / name for name in ("ca.pem", "stranger.pem", "server.pem", "server.key")))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(files.authority)
    trustme.CA().cert_pem.write_to_path(files.stranger)
    server = authority.issue_cert("127.0.0.1")
    files.certificate.write_bytes(b"".join(blob.bytes() for blob in server.cert_chain_pems))
    # Kafka reads PKCS 8 only.
    key = load_pem_private_key(server.private_key_pem.bytes(), None)
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    files.key.chmod(0o600)
    return files
