extension OpenAPIDocument {
    static let auditPaths = #"""
        "/v1/changes": {
          "get": {
            "operationId": "listChanges",
            "summary": "What happened to credentials behind a number of the journal, for whoever keeps answers",
            "x-right": "countersign:changes",
            "parameters": [
              {"name": "after", "in": "query", "schema": {"type": "integer", "minimum": 0},
               "description": "Without it, the answer says where the journal ends."},
              {"name": "incarnation", "in": "query", "schema": {"type": "string", "pattern": "^[0-9]{1,19}$"},
               "description": "The life of the store that the number is of."},
              {"name": "issued", "in": "query", "schema": {"type": "boolean"},
               "description": "Whether births are told as well."},
              {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 1000}},
              {"name": "wait", "in": "query", "schema": {"type": "integer", "minimum": 0, "maximum": 60},
               "description": "Seconds to wait for something to tell."}],
            "responses": {
              "200": {
                "description": "The changes in order, and the number to ask behind next.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ChangeList"}}}},
              "410": {"$ref": "#/components/responses/Problem"},
              "default": {"$ref": "#/components/responses/Problem"}}}},
        "/v1/audit": {
          "get": {
            "operationId": "listAudit", "summary": "List who did what, a page at a time",
            "x-right": "countersign:audit:read",
            "parameters": [
              {"$ref": "#/components/parameters/After"}, {"$ref": "#/components/parameters/Limit"}],
            "responses": {
              "200": {
                "description": "A page of the log. It may hold fewer entries than asked for where they name many credentials.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/AuditPage"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}}},
        "/v1/audit/check": {
          "get": {
            "operationId": "checkAudit", "summary": "Walk the chain of the log and report where it does not hold",
            "description": "One is done at a time: a second one is refused with 503 `busy` and Retry-After.",
            "x-right": "countersign:audit:read",
            "parameters": [
              {"name": "head", "in": "query", "schema": {"type": "string", "pattern": "^[0-9]+:[0-9a-f]{64}$"},
               "description": "A head that an earlier check has told: is it still there?"}],
            "responses": {
              "200": {
                "description": "Whether the log is as it was written.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/AuditCheck"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}}}
        """#

    static let auditSchemas = #"""
        "ChangeList": {
          "type": "object", "required": ["incarnation", "changes", "next"],
          "properties": {
            "incarnation": {"type": "string"},
            "changes": {
              "type": "array",
              "items": {
                "type": "object", "required": ["number", "event"],
                "properties": {
                  "number": {"type": "integer"}, "event": {"type": "string"}, "kind": {"type": "string"},
                  "id": {"$ref": "#/components/schemas/ID"}, "client_id": {"type": "string"},
                  "family": {"type": "string"},
                  "flush": {"type": "boolean", "description": "It names nothing that answers tell: drop them all."},
                  "issued_before": {"type": "integer"}}}},
            "next": {"type": "integer"}}},
        "AuditEntry": {
          "type": "object",
          "required": ["number", "time", "actor", "action", "credentials", "changed", "journal_number", "hash"],
          "properties": {
            "number": {"type": "integer", "description": "Counts up by one from 1."},
            "time": {"type": "integer"},
            "actor": {
              "type": "object", "required": ["type"],
              "properties": {
                "type": {"type": "string", "enum": ["program", "control_socket", "command", "credential", "client"]},
                "id": {"type": "string", "description": "Of the credential or the client."}}},
            "action": {"type": "string"},
            "credentials": {
              "type": "array", "items": {"$ref": "#/components/schemas/ID"},
              "description": "All that it was done to."},
            "client_id": {"type": ["string", "null"]},
            "owner": {"type": ["string", "null"]},
            "issued_before": {"type": ["integer", "null"]},
            "pepper": {"type": ["integer", "null"]},
            "changed": {"type": "array", "items": {"type": "string"}, "description": "What an edit has changed."},
            "journal_number": {
              "type": "integer", "description": "The highest number of the journal when it was done."},
            "hash": {"type": "string", "description": "Chains it to the entry before."}}},
        "AuditPage": {
          "type": "object", "required": ["items", "next"],
          "properties": {
            "items": {"type": "array", "items": {"$ref": "#/components/schemas/AuditEntry"}},
            "next": {"type": ["string", "null"]}}},
        "AuditCheck": {
          "type": "object", "required": ["sound", "entries"],
          "properties": {
            "sound": {"type": "boolean"},
            "entries": {"type": "integer", "description": "Entries that hold, from the first on."},
            "head": {"type": ["string", "null"], "description": "The last of them, to be written down elsewhere."},
            "fault": {
              "type": ["object", "null"],
              "properties": {"number": {"type": "integer"}, "reason": {"type": "string"}}}}}
        """#
}
