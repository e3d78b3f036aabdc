"""The control plane as a running server: its parts put together, and taken apart again in order."""

import asyncio
import contextlib
import ipaddress
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from msgspec import Struct

from authorizer.control_plane.server import credentials, private_files, signing_key
from authorizer.control_plane.server.api import Service, application
from authorizer.control_plane.server.credentials import ROLES, Role
from authorizer.control_plane.server.guards import Guards
from authorizer.control_plane.server.publisher import Publisher
from authorizer.control_plane.server.sqlite_database import SqliteDatabase
from authorizer.control_plane.server.store import Store
from authorizer.directory import Watch
from authorizer.errors import ControlPlaneError, ListenError

POLL_SECONDS = 0.25
"""Between two looks at the directory; a change is seen after two looks that agree."""

ADOPT_SECONDS = 0.5
"""Between two looks at what other control planes have published."""

_log = logging.getLogger("authorizer.control_plane")


class Config(Struct, frozen=True, kw_only=True):
    """How to run. ``policies`` None: documents come by the API only. ``key`` None: a key is made in ``state``.

    A credential comes from its file, else as a value, else it is made in ``state``. ``database`` is the address of a
    PostgreSQL that other control planes with the same key and credentials may use too; "" for a database in ``state``.
    With ``certificate`` and ``certificate_key`` (PEM files) the server speaks TLS.
    """

    state: Path
    policies: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0
    key: Path | None = None
    key_id: str = ""
    token_files: Mapping[Role, Path] = {}
    tokens: Mapping[Role, str] = {}
    certificate: Path | None = None
    certificate_key: Path | None = None
    database: str = ""

    def __repr__(self) -> str:
        return f"Config(state={self.state!s}, host={self.host}, port={self.port})"


class Running(Struct, frozen=True):
    """A server that answers: its address, the files with secrets or keys that it made now, what authorizers need.

    ``token_file`` is None when the credential of authorizers was given as a value.
    """

    url: str
    made: tuple[Path, ...]
    key_id: str
    key_file: Path
    token_file: Path | None


@asynccontextmanager
async def running(config: Config, clock: Callable[[], float] = time.time) -> AsyncIterator[Running]:
    """Run the control plane for as long as the context is open.

    When the context is entered, the directory has been read once and the address answers. Raises ControlPlaneError,
    KeyMaterialError and ListenError when the state, the key or the address cannot be used.
    """
    context = _tls(config)
    await asyncio.to_thread(private_files.directory, config.state)
    signer, made_key = await asyncio.to_thread(signing_key.load, config.key, config.key_id, config.state)
    accepted, made_tokens = await asyncio.to_thread(_credentials, config)
    store = await asyncio.to_thread(_store, config)
    try:
        publisher = Publisher(store, signer, clock, directory=config.policies is not None)
        guards = Guards(signing_key.verifier(signer))
        service = Service(publisher, store, accepted, guards, clock)
        async with (
            _following(config.policies, publisher),
            _adopting(publisher, shared=store.shared),
            _listening(service, config, context) as url,
        ):
            made = tuple(path for path in (*made_tokens, made_key) if path)
            key_file = signing_key.public_file(config.state)
            yield Running(url, made, signer.key_id, key_file, _token_file(config))
    finally:
        await asyncio.to_thread(store.close)


async def follow_once(watch: Watch, publisher: Publisher, failed: str = "") -> str:
    """Look at the directory and publish what changed. Never raises: a failure is logged and tried again.

    Returns why the database failed. That is logged unless the last look ``failed`` too.
    """
    try:
        reading = await asyncio.to_thread(watch.poll)
        if reading is not None:
            await publisher.refresh(reading)
    except ControlPlaneError as error:
        watch.forget()
        return _told(error, failed)
    except Exception:  # noqa: BLE001 - the loop must go on; what failed is tried again
        watch.forget()
        _log.exception("the directory could not be published")
    return ""


async def adopt_once(publisher: Publisher, failed: str) -> str:
    """Serve what other control planes have published; else as ``follow_once``."""
    try:
        await publisher.adopt()
    except ControlPlaneError as error:
        return _told(error, failed)
    except Exception:  # noqa: BLE001 - the loop must go on; what failed is tried again
        _log.exception("what others published could not be read")
    else:
        if failed:
            _log.info("the database answers again")
    return ""


def _told(error: ControlPlaneError, failed: str) -> str:
    # One that is away answers in several ways: those are no news.
    if not failed:
        _log.error("%s", error)
    return str(error)


def _store(config: Config) -> Store:
    if not config.database:
        return Store(SqliteDatabase(config.state / "control-plane.sqlite"))
    try:
        from authorizer.control_plane.server.postgres_database import PostgresDatabase  # noqa: PLC0415 - an extra
    except ImportError:
        hint = "install authorizer[postgres]"
        raise ControlPlaneError("AZ590", "the driver of PostgreSQL is not installed", hint=hint) from None
    return Store(PostgresDatabase(config.database))


@asynccontextmanager
async def _adopting(publisher: Publisher, *, shared: bool) -> AsyncIterator[None]:
    if not shared:
        yield
        return

    async def forever() -> None:
        failed = ""
        while True:
            await asyncio.sleep(ADOPT_SECONDS)
            failed = await adopt_once(publisher, failed)

    async with _background(forever(), "adopt what others publish"):
        yield


@asynccontextmanager
async def _background(work: Coroutine[None, None, None], name: str) -> AsyncIterator[None]:
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def _following(policies: Path | None, publisher: Publisher) -> AsyncIterator[None]:
    """Follow the directory; without one, check once what the store holds against this program and this key."""
    if policies is None:
        await publisher.refresh()
        yield
        return
    watch = Watch(policies)
    reading = None
    while reading is None:
        reading = await asyncio.to_thread(watch.poll)
        await asyncio.sleep(0 if reading else POLL_SECONDS)
    await publisher.refresh(reading)

    async def forever() -> None:
        failed = ""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            failed = await follow_once(watch, publisher, failed)

    async with _background(forever(), "follow the directory"):
        yield


@asynccontextmanager
async def _listening(service: Service, config: Config, context: ssl.SSLContext | None) -> AsyncIterator[str]:
    # Who hangs up ends its request, so that a long poll holds no place for somebody who has gone.
    runner = web.AppRunner(
        application(service), access_log=None, handle_signals=False, shutdown_timeout=5.0, handler_cancellation=True
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, config.host, config.port, ssl_context=context)
        try:
            await site.start()
        except OSError as error:
            raise ListenError(
                "AZ711", f"{config.host}:{config.port} cannot be listened on: {error.strerror or error}",
                hint="choose another --listen",
            ) from error  # fmt: skip
        if context is None and exposed(str(address[0]) for address in runner.addresses):
            _log.warning(
                "credentials cross the network in the clear: %s:%d has no TLS (--tls-certificate, --tls-key)",
                config.host,
                runner.addresses[0][1],
            )
        host = f"[{config.host}]" if ":" in config.host else config.host
        yield f"{'https' if context else 'http'}://{host}:{runner.addresses[0][1]}"
    finally:
        service.publisher.close()
        await runner.cleanup()


def exposed(addresses: Iterable[str]) -> bool:
    """Tell whether other machines can reach one of the addresses."""
    return not all(ipaddress.ip_address(address).is_loopback for address in addresses)


def _credentials(config: Config) -> tuple[credentials.Credentials, list[Path | None]]:
    tokens: dict[Role, str] = {}
    made = []
    for role in ROLES:
        tokens[role], path = credentials.load(
            role, file=config.token_files.get(role), value=config.tokens.get(role), state=config.state
        )
        made.append(path)
    return credentials.accept(tokens), made


def _token_file(config: Config) -> Path | None:
    given = config.token_files.get("authorizer")
    return given or (None if "authorizer" in config.tokens else config.state / "authorizer.token")


def _tls(config: Config) -> ssl.SSLContext | None:
    if config.certificate is None or config.certificate_key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(config.certificate, config.certificate_key)
    except (OSError, ssl.SSLError) as error:
        raise ListenError("AZ712", f"{config.certificate}: the certificate cannot be used: {error}") from error
    return context
