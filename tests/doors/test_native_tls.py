"""TLS of the native gRPC door: HTTP/2 by ALPN, clients by certificate and name, files read again."""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import ssl
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from grpc import aio

from authorizer.doors import native, native_tls
from authorizer.doors.native_tls import Tls
from authorizer.errors import ListenError
from tests.doors.native_world import Core, ask, question, raw, serving

NOW = dt.datetime.now(dt.UTC)
USAGE = dict.fromkeys(
    ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
     "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"), False,
)  # fmt: skip


class Authority:
    """Signs certificates and writes them as PEM files."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        made = self._builder(self.subject, self.key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        made = made.add_extension(
            x509.KeyUsage(**(USAGE | {"key_cert_sign": True, "digital_signature": True})), critical=True
        )
        self.file = directory / f"{name}.pem"
        self.file.write_bytes(made.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def _builder(self, subject, key):
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - dt.timedelta(minutes=5))
            .not_valid_after(NOW + dt.timedelta(days=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )

    def issue(self, name: str, *names: x509.GeneralName) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        made = self._builder(subject, key)
        if names:
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        crt, pem = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        crt.write_bytes(made.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM))
        pem.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return crt, pem


LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
GATEWAY = "spiffe://mesh/ns/edge/sa/gateway"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


@pytest.fixture
def server(authority: Authority) -> tuple[Path, Path]:
    return authority.issue("server", LOOPBACK)


def credentials(authority: Authority, client: tuple[Path, Path] | None) -> grpc.ChannelCredentials:
    if client is None:
        return grpc.ssl_channel_credentials(authority.file.read_bytes())
    return grpc.ssl_channel_credentials(authority.file.read_bytes(), client[1].read_bytes(), client[0].read_bytes())


async def allowed(address: str, authority: Authority, client: tuple[Path, Path] | None = None) -> bool:
    async with aio.secure_channel(address, credentials(authority, client)) as channel:
        try:
            return (await ask(channel, question("/open"))).status.code == 0
        except aio.AioRpcError:
            return False


async def test_checks_over_tls(authority, server):
    async with serving(Core(), tls=Tls(certificate=server[0], key=server[1])) as door:
        assert await allowed(door.address, authority)
        async with aio.insecure_channel(door.address) as channel:
            with pytest.raises(aio.AioRpcError):
                await ask(channel, question("/open"))


@pytest.mark.parametrize(
    ("names", "passes"),
    [([x509.UniformResourceIdentifier(GATEWAY)], True), ([x509.DNSName("gateway.edge")], True),
     ([x509.DNSName("other"), x509.DNSName("gateway.edge")], True),
     ([x509.UniformResourceIdentifier(GATEWAY + "2")], False), ([x509.DNSName("other.edge")], False),
     ([x509.RFC822Name("gateway.edge")], False), ([], False)],
)  # fmt: skip
async def test_clients_by_name(authority, server, names, passes):
    breaches = []
    tls = Tls(
        certificate=server[0],
        key=server[1],
        client_ca=authority.file,
        client_names=frozenset({GATEWAY, "gateway.edge"}),
    )
    async with serving(Core(), tls=tls, breach=breaches.append) as door:
        assert await allowed(door.address, authority, authority.issue("gateway.edge", *names)) is passes
    assert passes or set(breaches) == {"tls_client_name"}


async def test_clients_by_authority(authority, server, tmp_path):
    breaches = []
    tls = Tls(certificate=server[0], key=server[1], client_ca=authority.file)
    stranger = Authority(tmp_path, "stranger").issue("gateway", x509.UniformResourceIdentifier(GATEWAY))
    async with serving(Core(), tls=tls, breach=breaches.append) as door:
        assert await allowed(door.address, authority, authority.issue("anybody"))
        assert breaches == []
        assert not await allowed(door.address, authority)
        assert not await allowed(door.address, authority, stranger)
    assert set(breaches) == {"tls_handshake"}


@pytest.mark.parametrize("protocols", [[], ["http/1.1"]])
async def test_what_does_not_ask_for_http_2_is_cut(authority, server, protocols):
    breaches = []
    async with serving(Core(), tls=Tls(certificate=server[0], key=server[1]), breach=breaches.append) as door:
        client = ssl.create_default_context(cafile=str(authority.file))
        if protocols:
            client.set_alpn_protocols(protocols)
        with contextlib.suppress(OSError):
            async with raw(door.address, ssl=client) as connection:
                assert await connection.ended()
    assert breaches == ["tls_alpn"]


@pytest.mark.parametrize(("suites", "passes"), [("AES128-SHA256", False), ("ECDHE+AESGCM", True)])
async def test_tls_1_2_without_its_old_ciphers(authority, server, suites, passes):
    breaches = []
    client = ssl.create_default_context(cafile=str(authority.file))
    client.set_alpn_protocols(["h2"])
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers(suites)
    async with serving(Core(), tls=Tls(certificate=server[0], key=server[1]), breach=breaches.append) as door:
        with contextlib.nullcontext() if passes else pytest.raises(OSError):  # noqa: PT011 - its text is OpenSSL's
            async with raw(door.address, ssl=client) as connection:
                await connection.send(connection.call(1, question("/open")))
                assert await connection.answer(1)
    assert passes or breaches == ["tls_handshake"]


async def test_a_renewed_certificate_is_used_and_a_broken_one_is_not(authority, server, tmp_path, monkeypatch):
    monkeypatch.setattr(native, "TLS_SECONDS", 0.05)
    tls = Tls(certificate=server[0], key=server[1])

    async def serial(door) -> int:
        client = ssl.create_default_context(cafile=str(authority.file))
        client.set_alpn_protocols(["h2"])
        async with raw(door.address, ssl=client) as connection:
            found = connection.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            return x509.load_der_x509_certificate(found).serial_number

    async with serving(Core(), tls=tls) as door:
        before = await serial(door)
        authority.issue("server", LOOPBACK)
        await asyncio.sleep(0.3)
        renewed = await serial(door)
        assert renewed != before
        server[0].write_text("no certificate")
        await asyncio.sleep(0.2)
        assert await serial(door) == renewed
        server[1].unlink()
        await asyncio.sleep(0.2)
        assert await serial(door) == renewed


def test_a_door_tells_when_its_certificate_expires(authority, server, tmp_path):
    tls = Tls(certificate=server[0], key=server[1])
    end = (NOW + dt.timedelta(days=1)).timestamp()
    assert native_tls.expires(tls) == pytest.approx(end, abs=1)
    server[0].write_bytes(b"no certificate")
    assert native_tls.expires(tls) == float("inf")


def test_files_that_cannot_be_used_are_refused(authority, server, tmp_path):
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
        )
    )
    other = authority.issue("other")
    empty = tmp_path / "empty"
    empty.write_text("")
    for tls in (
        Tls(certificate=tmp_path / "absent", key=server[1]),
        Tls(certificate=server[0], key=tmp_path / "absent"),
        Tls(certificate=server[0], key=other[1]),
        Tls(certificate=empty, key=empty),
        Tls(certificate=server[0], key=locked),
        Tls(certificate=server[0], key=server[1], client_ca=empty),
        Tls(certificate=server[0], key=server[1], client_names=frozenset({"a"})),
    ):
        with pytest.raises(ListenError, match="AZ707"):
            asyncio.run(native.start(Core(), "127.0.0.1:0", tls=tls))
