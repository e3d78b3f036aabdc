"""HAProxy 2.6 or later with Lua: an action asks the forward-auth door through HAProxy's own connection pool."""

from collections.abc import Mapping

from authorizer.gateways.site import Site, doors, named

SECRET_VARIABLE = "AUTHORIZER_SECRET"  # noqa: S105 - the name of a variable
# Set where "bind" has "verify optional" or "required": the client's certificate, without PEM's lines.
_CERTIFICATE = "%[ssl_c_der,base64] if { ssl_c_used }"
LUA_FILE = "/etc/haproxy/authorizer.lua"


def files(site: Site) -> Mapping[str, str]:
    """Return the configuration and its Lua action. Raises GatewayError."""
    servers = "".join(
        f"    server worker{number} {_server(address)} check inter 1s fastinter 200ms\n"
        for number, address in enumerate(doors(site, "http", "HAProxy"))
    )
    milliseconds = round(site.timeout * 1000)
    # The abstract socket on which HAProxy meets itself; another HAProxy of this machine has another port.
    inside = f"authorizer-{site.listen.rpartition(':')[2]}"
    text = _FILE.format(
        lua=LUA_FILE,
        listen=site.listen,
        api=_server(site.api),
        servers=servers,
        timeout=milliseconds,
        inside=inside,
        cleaned="".join(f"    http-request del-header {name}\n" for name in (*site.identity, *site.certificates)),
        seen=f"    http-request set-header {site.certificate} {_CERTIFICATE}\n" if site.pem else "",
        secret=f'    http-request set-header X-Authorizer-Secret "${{{SECRET_VARIABLE}}}"\n' if site.secret else "",
        body="# Bodies: the action sends none, so routes of policies that read a body are denied.\n"
        if site.body_bytes
        else "",
    )
    names, credentials = (", ".join(f'"{name}"' for name in listed) for listed in (site.identity, site.shown))
    shown = ", ".join(map(named, (*site.identity, *site.shown)))
    # HAProxy's own limit comes first; this one ends a question that its pool has not even taken up.
    action = (
        _ACTION.replace("IDENTITY", names)
        .replace("CREDENTIALS", credentials)
        .replace("SHOWN", shown)
        .replace("TIMEOUT", str(2 * milliseconds))
    )
    return {"haproxy.cfg": text, "authorizer.lua": action.replace("INSIDE", inside)}


def _server(address: str) -> str:
    return f"unix@{address.removeprefix('unix:')}" if address.startswith("unix:") else address


_FILE = """\
# HAProxy asks the authorizer about each request (authorizer.lua). Made by `authorizer gateway haproxy`, for 2.6 and
# later with Lua. The Lua file stands beside this one.
{body}global
    lua-load-per-thread {lua}

defaults
    mode http
    timeout connect 250ms
    timeout client 30s
    timeout server 30s
    timeout http-request 10s
    timeout http-keep-alive 60s

frontend gateway
    bind {listen}
    http-request deny deny_status 413 if {{ req.body_size gt 1048576 }}
    # What a client may not say of itself.
{cleaned}{seen}    # In another protocol than WebSocket (h2c) requests would pass that nobody is asked about.
    http-request del-header upgrade if {{ req.hdr_cnt(upgrade) gt 1 }} || !{{ req.hdr(upgrade) -i websocket }}
    # A Lua action that fails lets HAProxy go on: only what it set says yes.
    http-request set-var(txn.authorized) bool(false)
    http-request lua.authorizer
    http-request deny deny_status 503 unless {{ var(txn.authorized) -m bool }}
    default_backend api

backend api
    server api {api}

# The questions of authorizer.lua. One more hop inside of HAProxy, so that they have its connection pool, its balancing,
# its health checks and its timeouts.
listen authorizer
    bind abns@{inside}
    timeout client 60s
    timeout server {timeout}ms
    timeout queue {timeout}ms
    retries 0
    http-reuse always
{secret}{servers}"""

_ACTION = """\
-- Asks the authorizer whether a request may pass: http-request lua.authorizer. Made by `authorizer gateway haproxy`.
-- On yes txn.authorized is true and SHOWN are set; on no the client gets the denial.
local identity = { IDENTITY }
-- What the caller showed goes along with the question, and to the API only as the authorizer says.
local credentials = { CREDENTIALS }
local told = { "x-forwarded-method", "x-forwarded-uri", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-for" }
-- What is of the connection or of the body, which stays here, and what only HAProxy may say.
local kept_back = {
    ["connection"] = true, ["content-length"] = true, ["expect"] = true, ["host"] = true, ["keep-alive"] = true,
    ["proxy-connection"] = true, ["te"] = true, ["trailer"] = true, ["transfer-encoding"] = true, ["upgrade"] = true,
    ["x-authorizer-secret"] = true,
}
for _, name in ipairs(told) do
    kept_back[name] = true
end
for _, name in ipairs(identity) do
    kept_back[name] = true
end

local function question(txn)
    local headers = {}
    for name, values in pairs(txn.http:req_get_headers()) do
        if not kept_back[name] then
            headers[name] = {}
            for at = 0, #values do
                table.insert(headers[name], values[at])
            end
        end
    end
    headers["x-forwarded-method"] = { txn.f:method() }
    headers["x-forwarded-uri"] = { txn.f:pathq() }
    headers["x-forwarded-host"] = { txn.f:req_hdr("host") }
    headers["x-forwarded-for"] = { tostring(txn.f:src()) }
    local secured = txn.f:ssl_fc()
    headers["x-forwarded-proto"] = { (secured == true or secured == 1) and "https" or "http" }
    return headers
end

local function deny(txn, status, headers, body)
    local reply = txn:reply({ status = status })
    for name, values in pairs(headers) do
        if not kept_back[name] then
            for at = 0, #values do
                reply:add_header(name, values[at])
            end
        end
    end
    reply:set_body(body)
    txn:done(reply)
end

core.register_action("authorizer", { "http-req" }, function(txn)
    local answer = core.httpclient():get({
        url = "http://authorizer/authz/haproxy",
        dst = "abns@INSIDE",
        headers = question(txn),
        timeout = TIMEOUT,
    })
    if answer == nil or answer.status == nil or answer.headers == nil then
        deny(txn, 503, {}, "")
    elseif answer.status == 200 then
        for _, name in ipairs(identity) do
            if answer.headers[name] ~= nil then
                txn.http:req_set_header(name, answer.headers[name][0])
            end
        end
        for _, name in ipairs(credentials) do
            txn.http:req_del_header(name)
            if answer.headers[name] ~= nil then
                txn.http:req_set_header(name, answer.headers[name][0])
            end
        end
        txn:set_var("txn.authorized", true)
    elseif answer.status == 401 or answer.status == 403 then
        deny(txn, answer.status, answer.headers, answer.body or "")
    else
        -- The authorizer's own 4xx and 5xx, and what HAProxy says of one that is gone, late or no HTTP.
        local ours = (answer.headers["content-type"] or {})[0] == "application/problem+json"
        local status = (answer.status >= 400 and answer.status <= 599) and answer.status or 503
        deny(txn, ours and status or 503, ours and answer.headers or {}, ours and (answer.body or "") or "")
    end
end)
"""
