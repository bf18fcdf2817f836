-- Asks Countersign about a request: http-request lua.countersign "scope=orders:read&audience=https://api.example"
-- What is in quotes says what is needed and becomes the query of /verify. See haproxy.cfg.

local address = "http://127.0.0.1:8080/verify?"
-- HAProxy tries four times.
local patience_ms = 1000
-- What a refusal tells the client.
local told = { "content-type", "retry-after", "www-authenticate" }

local function lines(headers, name)
    local all = {}
    for _, line in pairs(headers[name] or {}) do
        table.insert(all, line)
    end
    return all
end

local function refuse(txn, status, headers, body)
    local reply = txn:reply({ status = status })
    for _, name in ipairs(told) do
        for _, line in ipairs(lines(headers, name)) do
            reply:add_header(name, line)
        end
    end
    reply:set_body(body or "")
    txn:done(reply)
end

core.register_action("countersign", { "http-req" }, function(txn, needs)
    txn:set_var("txn.countersign_allowed", false)
    local uri = txn.f:pathq() or ""
    -- OPTIONS * is about no path.
    if uri:sub(1, 1) ~= "/" then
        return refuse(txn, 400, {})
    end
    local answer = core.httpclient():get({
        url = address .. needs,
        timeout = patience_ms,
        -- Only what is needed, and what describes the request is said by HAProxy and never by the client. All Authorization
        -- lines go along, so that two are seen as two and refused.
        headers = {
            ["authorization"] = lines(txn.http:req_get_headers(), "authorization"),
            ["x-forwarded-for"] = { txn.f:src() },
            ["x-forwarded-method"] = { txn.f:method() },
            ["x-forwarded-uri"] = { uri },
        },
    })
    -- No answer has the status 0.
    local status = answer and answer.status or 0
    if status >= 400 and status < 500 then
        return refuse(txn, status, answer.headers, answer.body)
    end
    if status ~= 200 then
        return refuse(txn, 503, { ["retry-after"] = { "1" } })
    end
    for name in pairs(answer.headers) do
        if name:sub(1, 7) == "x-auth-" then
            txn.http:req_set_header(name, lines(answer.headers, name)[1])
        end
    end
    txn:set_var("txn.countersign_uri", lines(answer.headers, "x-auth-uri")[1])
    txn:set_var("txn.countersign_allowed", true)
end, 1)
