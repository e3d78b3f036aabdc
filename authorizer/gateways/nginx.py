"""nginx with ``ngx_http_auth_request_module``, which tells nothing of a request by itself."""

from collections.abc import Mapping

from authorizer.gateways.site import Site, doors, named

SECRET_FILE = "/etc/nginx/authorizer-secret.conf"  # noqa: S105 - the name of a file
# Empty, and so no header, but where "ssl_verify_client" asks for certificates (and it is not "optional_no_ca").
_CERTIFICATE = "$ssl_client_escaped_cert"
_MAIN = """\
# A whole configuration around authorizer.conf, to try it as any user; what nginx writes stays below DIR.
#   check:  nginx -p DIR -e stderr -c "$PWD/nginx.conf" -t
#   run:    nginx -p DIR -e stderr -c "$PWD/nginx.conf"      stop: Ctrl-C
# Three addresses to adapt, all in authorizer.conf: the authorizer, your API, where clients come.
daemon off;
error_log stderr warn;
pid nginx.pid;

events {
}

http {
    access_log off;
    client_body_temp_path client_body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include authorizer.conf;
}
"""


def files(site: Site) -> Mapping[str, str]:
    """Return the site to include and a configuration to try it with. Raises GatewayError."""
    servers = "".join(f"    server {address};\n" for address in doors(site, "http", "nginx"))
    variables = {name: "$authorizer_" + _snake(name) for name in (*site.identity, *site.shown)}
    taken = "".join(f"        auth_request_set {to} $upstream_http_{_snake(name)};\n" for name, to in variables.items())
    given = "".join(f"        proxy_set_header {named(name)} {value};\n" for name, value in variables.items())
    seen = dict.fromkeys(site.certificates, '""') | ({site.certificate: _CERTIFICATE} if site.pem else {})
    certificates = "".join(f"        proxy_set_header {named(name)} {value};\n" for name, value in seen.items())
    secret = f"        include {SECRET_FILE};   # proxy_set_header X-Authorizer-Secret ...; readable by nginx only\n"
    text = _SITE.format(
        servers=servers,
        api=site.api,
        listen=site.listen,
        taken=taken,
        given=given,
        certificates=certificates,
        secret=secret if site.secret else "",
        timeout=round(site.timeout * 1000),
        body="# Bodies: auth_request never sends one, so routes of policies that read a body are denied.\n"
        if site.body_bytes
        else "",
    )
    return {"authorizer.conf": text, "nginx.conf": _MAIN}


def _snake(name: str) -> str:
    return name.replace("-", "_")


_SITE = """\
# nginx asks the authorizer about each request (ngx_http_auth_request_module). Include this file in "http {{ }}".
# Made by `authorizer gateway nginx`. nginx sends nothing of the original request by itself: each X-Original-* line
# below is needed, and each overwrites what a client may have sent under that name. Only 401 and 403 reach the client as
# they are; no answer, a late one and any other status are a 500.
{body}
upstream authorizer {{
{servers}    keepalive 16;
}}

# A challenge comes with a 403 too (insufficient_scope); that of a 401 nginx passes on by itself.
map $status $authorizer_challenge {{
    403 $authorizer_www_authenticate;
}}

upstream api {{
    server {api};
    keepalive 16;
}}

server {{
    listen {listen};
    client_max_body_size 1m;
    underscores_in_headers off;   # x_auth_subject is not x-auth-subject

    location / {{
        auth_request /_authorizer;

        # Who the caller is, as the authorizer found out. An empty value removes the client's own header.
{taken}{given}{certificates}
        auth_request_set $authorizer_www_authenticate $upstream_http_www_authenticate;
        add_header WWW-Authenticate $authorizer_challenge always;
        # A 401 can bring a nonce for the caller's next proof (DPoP).
        auth_request_set $authorizer_dpop_nonce $upstream_http_dpop_nonce;
        add_header DPoP-Nonce $authorizer_dpop_nonce always;

        # No path after the address: the API sees the path as the client sent it, which is the one that was decided.
        proxy_pass http://api;
        proxy_set_header Host $host;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
    }}

    location = /_authorizer {{
        internal;
        proxy_pass http://authorizer/authz/nginx;
        proxy_pass_request_body off;
        proxy_set_header Content-Length "";
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header X-Original-Method $request_method;
        proxy_set_header X-Original-URI $request_uri;
        proxy_set_header X-Original-Host $host;
        proxy_set_header X-Original-Proto $scheme;
        proxy_set_header X-Forwarded-For $remote_addr;
{certificates}{secret}        proxy_connect_timeout 250ms;
        proxy_send_timeout {timeout}ms;
        proxy_read_timeout {timeout}ms;
        proxy_next_upstream_timeout {timeout}ms;
    }}
}}
"""
