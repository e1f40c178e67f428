"""A NATS server with users and TLS, configured as shipped, and an authority of our own."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ledger.bus import users
from ledger.bus.grants import Role
from ledger.bus.security import BusSecurity
from ledger.operate.embedded import programs
from tests.docs.pages import ROOT

START_SECONDS = 20


class Authority:
    """A certificate authority for the length of a test."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("test authority")
        self.certificate = directory / "ca.pem"
        signed = self._signed(self._name, self._key, is_authority=True)
        self.certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> tuple[Path, Path]:
        """Files with a certificate for 127.0.0.1 and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate, secret = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        signed = self._signed(_name(name), key, is_authority=False)
        certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        secret.touch(mode=0o600)
        secret.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return certificate, secret

    def _signed(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, is_authority: bool
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class SecuredBus:
    """deploy/nats-secure.conf at work."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = Authority(directory)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"nats://127.0.0.1:{self._port}"
        self._users = directory / "users.conf"
        self._server: subprocess.Popen[bytes] | None = None

    def add_user(self, role: Role, name: str, **granted: Any) -> BusSecurity:
        """A user, as `ledgerctl bus user` makes it; what a client of it connects with."""
        seed = self.directory / f"{name}.nk"
        known = users.read_users(self._users)
        known[name] = users.user(name, role, users.public_key(seed), **granted)
        users.write_users(self._users, list(known.values()))
        return BusSecurity(user=name, nkey_seed_file=seed, tls_ca_file=self.authority.certificate)

    def revoke(self, name: str) -> None:
        """Takes a user away, and has the server read its users again."""
        known = users.read_users(self._users)
        del known[name]
        users.write_users(self._users, list(known.values()))
        assert self._server is not None
        self._server.send_signal(signal.SIGHUP)

    @contextmanager
    def running(self) -> Iterator[None]:
        certificate, key = self.authority.issue("server")
        shipped = (ROOT / "deploy" / "nats-secure.conf").read_text(encoding="utf-8")
        configuration = self.directory / "nats.conf"
        configuration.write_text(
            shipped.replace('listen: "0.0.0.0:4222"', f'listen: "127.0.0.1:{self._port}"').replace(
                'http: "127.0.0.1:8222"', 'http: "127.0.0.1:-1"'
            )
        )
        environment = os.environ | {
            "NATS_STORE_DIR": str(self.directory / "jetstream"),
            "NATS_TLS_CERT": str(certificate),
            "NATS_TLS_KEY": str(key),
            "NATS_TLS_CA": str(self.authority.certificate),
        }
        log = self.directory / "nats.log"
        with log.open("wb") as output:
            self._server = server = subprocess.Popen(
                [programs.nats_server(), "-c", configuration],
                env=environment,
                stdout=output,
                stderr=output,
            )
        try:
            deadline = time.monotonic() + START_SECONDS
            while b"Server is ready" not in log.read_bytes():
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.02)
            yield
        finally:
            server.terminate()
            server.wait()
