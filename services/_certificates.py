"""A certificate authority of the tests, and one certificate of it for 127.0.0.1 and localhost."""

import ssl
from pathlib import Path

from services._errors import UnavailableError

CA, CHAIN, KEY, CHAIN_AND_KEY = "ca.pem", "server-chain.pem", "server-key.pem", "server.pem"


def create(folder: Path) -> None:
    """Write the certificates into the folder, unless they are there.

    Raises:
        UnavailableError: trustme is not installed.
    """
    if (folder / CHAIN_AND_KEY).exists():
        return
    try:
        import trustme
        from cryptography.hazmat.primitives import serialization
    except ImportError as error:
        raise UnavailableError(f"{error.name} is missing: install the group `dev` of the pyproject.toml.") from error
    authority = trustme.CA(key_type=trustme.KeyType.RSA)
    server = authority.issue_cert("localhost", "127.0.0.1", "::1", key_type=trustme.KeyType.RSA)
    # Kafka reads no other form of a key than PKCS #8.
    key = serialization.load_pem_private_key(server.private_key_pem.bytes(), None).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain = b"".join(blob.bytes() for blob in server.cert_chain_pems)
    folder.mkdir(parents=True, exist_ok=True)
    authority.cert_pem.write_to_path(str(folder / CA))
    (folder / CHAIN).write_bytes(chain)
    (folder / KEY).write_bytes(key)
    (folder / CHAIN_AND_KEY).write_bytes(key + chain)


def client_context(ca: Path) -> ssl.SSLContext:
    """Return what a client verifies the servers with."""
    return ssl.create_default_context(cafile=ca)
