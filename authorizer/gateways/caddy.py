"""Caddy with ``forward_auth``."""

from collections.abc import Mapping

from authorizer.gateways.site import Site, doors, named

SECRET_VARIABLE = "AUTHORIZER_SECRET"  # noqa: S105 - the name of a variable


def files(site: Site) -> Mapping[str, str]:
    """Return the Caddyfile. Raises GatewayError."""
    addresses = doors(site, "http", "Caddy", abstract=True)
    host, _, port = site.listen.rpartition(":")
    text = _FILE.format(
        port=port,
        bind=host.strip("[]"),
        doors=" ".join(map(_upstream, addresses)),
        identity=" ".join(map(named, (*site.identity, *site.shown))),
        cleaned="".join(f"\t\trequest_header -{named(name)}\n" for name in site.certificates),
        timeout=round(site.timeout * 1000),
        api=_upstream(site.api),
        secret=f"\t\t\theader_up X-Authorizer-Secret {{${SECRET_VARIABLE}}}\n" if site.secret else "",
        spread="\t\t\tlb_policy round_robin\n\t\t\tlb_retries 1\n" if len(addresses) > 1 else "",
        body="# Bodies: forward_auth never sends one, so routes of policies that read a body are denied.\n"
        if site.body_bytes
        else "",
    )
    return {"Caddyfile": text}


def _upstream(address: str) -> str:
    return f"unix/{address.removeprefix('unix:')}" if address.startswith("unix:") else address


_FILE = """\
# Caddy asks the authorizer about each request (forward_auth). Made by `authorizer gateway caddy`. Caddy tells the
# original request in X-Forwarded-* and overwrites what a client sent under those names. It answers 502 when the
# authorizer is gone, and 504 when it is late.
{body}http://:{port} {{
	bind {bind}
	@upgrade header_regexp Connection (?i)(^|[\\s,])upgrade([\\s,]|$)
	@plain not header_regexp Connection (?i)(^|[\\s,])upgrade([\\s,]|$)
	# In this order: by itself Caddy would run request_header last.
	route {{
		# Caddy drops each header that Connection names, from the question to the authorizer and from the request to the
		# API: the client would choose which of its headers are decided upon, and take away who it is. An upgrade
		# (WebSocket) is all that may be left of it.
		request_header @upgrade Connection Upgrade
		request_header @plain -Connection
{cleaned}		request_body {{
			max_size 1MB
		}}
		forward_auth {doors} {{
			uri /authz/caddy
			# Who the caller is, as the authorizer found out. It answers a blank value for what does not apply: before
			# 2.11.2 Caddy would let the client's own header pass.
			copy_headers {identity}
{secret}{spread}			transport http {{
				dial_timeout 250ms
				response_header_timeout {timeout}ms
				keepalive 60s
			}}
		}}
		reverse_proxy {api}
	}}
}}
"""
