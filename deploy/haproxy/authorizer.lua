-- Asks the authorizer whether a request may pass: http-request lua.authorizer. Made by `authorizer gateway haproxy`.
-- On yes txn.authorized is true and X-Auth-Subject, X-Auth-Client, X-Auth-Decision are set; on no the client gets the denial.
local identity = { "x-auth-subject", "x-auth-client", "x-auth-decision" }
-- What the caller showed goes along with the question, and to the API only as the authorizer says.
local credentials = {  }
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
        dst = "abns@authorizer-8080",
        headers = question(txn),
        timeout = 1000,
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
