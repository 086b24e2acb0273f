"""RSA keys and certificates for JWT logins and for TLS on loopback; made once for all tests."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Pair:
    """A key and its halves as PEM."""

    key: rsa.RSAPrivateKey

    @property
    def private(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def public(self) -> str:
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def certificate(self) -> str:
        """A certificate for 127.0.0.1, signed by itself."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "StageSync test")])
        now = datetime.now(UTC)
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        made = (
            x509.CertificateBuilder(subject_name=name, issuer_name=name, public_key=self.key.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        )
        return made.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


@cache
def pair(name: str, bits: int = 2048) -> Pair:
    """The key pair of this name."""
    return Pair(rsa.generate_private_key(public_exponent=65537, key_size=bits))
