"""Kong with its plugin ``pre-function``: Kong OSS has no forward-auth, so a piece of Lua asks. No test runs Kong."""

from collections.abc import Mapping

from authorizer.errors import GatewayError
from authorizer.gateways import yaml_text
from authorizer.gateways.site import Site, doors


def files(site: Site) -> Mapping[str, str]:
    """Return a declarative configuration. Raises GatewayError."""
    address, *others = doors(site, "http", "Kong", sockets=False)
    if others:
        raise GatewayError("AZ903", "Kong asks one address only", hint="let forward_auth.listen be one port")
    if site.secret:
        raise GatewayError("AZ904", "Kong's sandbox keeps no secret", hint="use forward_auth.trusted_peers")
    document = {
        "_format_version": "3.0",
        "services": [{"name": "api", "url": f"http://{site.api}", "routes": [{"name": "api", "paths": ["/"]}]}],
        "plugins": [
            {"name": "request-size-limiting", "config": {"allowed_payload_size": 1, "size_unit": "megabytes"}},
            {"name": "pre-function", "config": {"access": [action(site, address)]}},
        ],
    }
    return {"kong.yaml": yaml_text.render(document, _COMMENTS, _HEAD)}


def action(site: Site, address: str) -> str:
    """Return the Lua that asks; any error in it ends the request with 503."""
    names, credentials, certificates = (
        ", ".join(f'"{name}"' for name in listed) for listed in (site.identity, site.shown, site.certificates)
    )
    text = _ACTION.replace("CERTIFICATES", certificates)
    text = text.replace("IDENTITY", names).replace("CREDENTIALS", credentials).replace("ADDRESS", address)
    return text.replace("TIMEOUT", str(round(site.timeout * 1000)))


_HEAD = (
    "Kong asks the authorizer about each request (pre-function). Made by `authorizer gateway kong`. Kong must let the",
    "Lua use the HTTP client: KONG_UNTRUSTED_LUA_SANDBOX_REQUIRES=resty.http. Without it every request is a 503.",
    "The action sends no body, so routes of policies that read one are denied. No test of ours runs Kong.",
)
_COMMENTS = {"plugins": "Global: on every service and route."}

_ACTION = """\
local identity = { IDENTITY }
local credentials = { CREDENTIALS }
local certificates = { CERTIFICATES }
local kept_back = {
  ["connection"] = true, ["content-length"] = true, ["expect"] = true, ["host"] = true, ["keep-alive"] = true,
  ["proxy-connection"] = true, ["te"] = true, ["trailer"] = true, ["transfer-encoding"] = true, ["upgrade"] = true,
  ["x-authorizer-secret"] = true,
}
local function ask()
  -- More than 1000 headers would be cut off unseen.
  local headers, cut = ngx.req.get_headers(1000)
  if cut then
    return nil
  end
  local question = {}
  for name, value in pairs(headers) do
    if not kept_back[name] then
      question[name] = value
    end
  end
  for _, names in ipairs({ identity, certificates }) do
    for _, name in ipairs(names) do
      question[name] = nil
    end
  end
  question["x-forwarded-method"] = kong.request.get_method()
  question["x-forwarded-uri"] = ngx.var.request_uri
  question["x-forwarded-host"] = kong.request.get_host()
  question["x-forwarded-proto"] = kong.request.get_scheme()
  question["x-forwarded-for"] = ngx.var.remote_addr
  local client = require("resty.http").new()
  client:set_timeout(TIMEOUT)
  return client:request_uri("http://ADDRESS/authz/kong", { method = "GET", headers = question })
end
local ran, answer = pcall(ask)
if not ran or not answer then
  return kong.response.exit(503)
end
if answer.status ~= 200 then
  local denied = answer.status >= 400 and answer.status <= 599
  return kong.response.exit(denied and answer.status or 503, denied and answer.body or "", {
    ["Content-Type"] = answer.headers["Content-Type"],
    ["WWW-Authenticate"] = answer.headers["WWW-Authenticate"],
    ["DPoP-Nonce"] = answer.headers["DPoP-Nonce"],
  })
end
for _, name in ipairs(certificates) do
  kong.service.request.clear_header(name)
end
for _, names in ipairs({ identity, credentials }) do
  for _, name in ipairs(names) do
    if answer.headers[name] then
      kong.service.request.set_header(name, answer.headers[name])
    else
      kong.service.request.clear_header(name)
    end
  end
end
"""
