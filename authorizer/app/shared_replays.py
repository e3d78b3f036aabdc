"""Which proofs were shown before, shared by several machines: in Redis or Valkey, asked within a deadline.

One command tells and notes at once: SET with NX and PX. INVARIANT: whatever is not a clear answer is "cannot be told",
which denies: a proof that nobody remembers counts as often as it is shown.
"""

import asyncio
import logging
from pathlib import Path
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, RedisError

from authorizer import files
from authorizer.errors import KeyMaterialError
from authorizer.pdp.proofs import Spend

log = logging.getLogger("authorizer.app")

PREFIX = "authorizer:proof:"
MAX_CONNECTIONS = 64
LOOK_SECONDS = 60.0
"""Between two looks at whether the store keeps what it is given."""
_EVICTS = "it evicts: maxmemory-policy noeviction is needed"


class SharedReplays:
    """A set of digests that are forgotten when their time is over. ``seconds`` is the longest time of an answer."""

    def __init__(self, url: str, seconds: float, password: str = "") -> None:
        self._seconds = seconds
        self._away = False
        self._look = float("-inf")
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=MAX_CONNECTIONS,
            password=password or None,
            socket_connect_timeout=seconds,
            socket_timeout=seconds,
            timeout=seconds,
            retry=Retry(NoBackoff(), 0),
        )
        self._where = urlsplit(url).netloc or urlsplit(url).path
        self._redis = Redis.from_pool(pool)

    async def spend(self, proof: Spend, now: float) -> bool | None:
        """Note a proof as shown.

        True if it was not there yet, False if it was, None when it cannot be told. Never raises.
        """
        milliseconds = max(int((proof.until - now) * 1000), 0) + 1000  # clocks of machines are not quite the same
        try:
            async with asyncio.timeout(self._seconds):
                if now >= self._look:
                    if await self._evicts():
                        self._tell(_EVICTS)
                        return None
                    self._look = now + LOOK_SECONDS
                noted = await self._redis.set(PREFIX + proof.digest.hex(), b"", nx=True, px=milliseconds)
        except Exception as error:  # noqa: BLE001 - a server that talks nonsense makes the client raise anything
            self._tell(type(error).__name__)
            return None
        self._tell("")
        return noted is True

    async def _evicts(self) -> bool:
        """Tell whether the store may forget a proof that is still good: who fills it could then show it again."""
        try:
            memory = await self._redis.info("memory")
        except NoPermissionError:  # to an account that may do nothing but note proofs, its operator answers for it
            return False
        return bool(memory.get("maxmemory")) and memory.get("maxmemory_policy") != "noeviction"

    def _tell(self, why: str) -> None:
        """Log that the store cannot be used, or can again, once each."""
        if bool(why) is self._away:
            return
        self._away = bool(why)
        if why:
            log.error("the store of proofs at %s cannot be used (%s): proofs are denied", self._where, why)
        else:
            log.info("the store of proofs at %s can be used again", self._where)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._redis.aclose()


def open_store(url: str, seconds: float, password_file: str) -> SharedReplays:
    """Return the store at ``url``, which need not answer yet. Raises KeyMaterialError AZ433 for what cannot be used."""
    try:
        password = files.read_secret(Path(password_file), 1).decode() if password_file else ""
        return SharedReplays(url, seconds, password)
    except (OSError, ValueError, RedisError) as error:
        raise KeyMaterialError("AZ433", f"the store of proofs cannot be used: {error}") from None
