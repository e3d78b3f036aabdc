"""The number of trusted proxies reaches the door that counts them."""

import asyncio

from authorizer import settings
from authorizer.app.answering import Answering


async def test_the_client_is_as_many_proxies_away_as_is_configured():
    flags = ["policies=p", "ext_authz.listen=", "admin.listen=", "log.decisions="]
    chosen = settings.load(flags=[*flags, "forward_auth.listen=127.0.0.1:0", "forward_auth.hops=2"])
    answering = Answering(chosen)
    asked = []
    check = answering.authorizer.check
    answering.authorizer.check = lambda request: asked.append(request.peer) or check(request)
    addresses = await answering.open()
    reader, writer = await asyncio.open_connection(*addresses["forward_auth"].split(":"))
    lines = {"Method": "GET", "Uri": "/", "Host": "a", "Proto": "http", "For": "192.0.2.1, 192.0.2.2, 192.0.2.3"}
    head = "".join(f"X-Forwarded-{name}: {value}\r\n" for name, value in lines.items())
    writer.write(f"GET /authz/traefik HTTP/1.1\r\nHost: door\r\nConnection: close\r\n{head}\r\n".encode())
    async with asyncio.timeout(30):
        assert (await reader.read()).startswith(b"HTTP/1.1 5")
    writer.close()
    await answering._http.close(0.1)
    assert asked == ["192.0.2.2"]
