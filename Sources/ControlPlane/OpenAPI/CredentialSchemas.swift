extension OpenAPIDocument {
    static let credentialSchemas = #"""
        "ID": {"type": "string", "pattern": "^[0-9A-Za-z]{11}$", "examples": ["0Fz8kQ2mXbA"]},
        "Time": {"type": "integer", "minimum": 0, "maximum": 253402300799, "description": "Seconds since 1970, UTC."},
        "TimeOrNull": {"type": ["integer", "null"], "minimum": 0, "maximum": 253402300799},
        "Scope": {
          "type": "string", "description": "Words with one space between (RFC 6749 §3.3).",
          "examples": ["orders:read orders:write"]},
        "Texts": {"type": "array", "items": {"type": "string"}},
        "State": {"type": "string", "enum": ["active", "expired", "not_yet_valid", "revoked"]},
        "Credential": {
          "type": "object",
          "required": [
            "id", "kind", "state", "owner", "name", "client_id", "scope", "aud", "network", "iat", "nbf", "exp",
            "revoked_at", "predecessor", "successor", "sunset", "last_used_at",
            "expires_soon", "imported"],
          "properties": {
            "id": {"$ref": "#/components/schemas/ID"},
            "kind": {
              "type": "string",
              "enum": ["api_key", "access_token", "refresh_token", "authorization_code", "client_secret"]},
            "state": {"$ref": "#/components/schemas/State"},
            "owner": {"type": "string"},
            "name": {"type": ["string", "null"]},
            "client_id": {"type": ["string", "null"]},
            "scope": {"$ref": "#/components/schemas/Scope"},
            "aud": {"$ref": "#/components/schemas/Texts"},
            "network": {"$ref": "#/components/schemas/Texts"},
            "iat": {"$ref": "#/components/schemas/Time"},
            "nbf": {"$ref": "#/components/schemas/TimeOrNull"},
            "exp": {"$ref": "#/components/schemas/TimeOrNull"},
            "revoked_at": {"$ref": "#/components/schemas/TimeOrNull"},
            "predecessor": {"type": ["string", "null"], "description": "The id of what this one replaces."},
            "successor": {"type": ["string", "null"], "description": "The id of what replaces this one."},
            "sunset": {
              "$ref": "#/components/schemas/TimeOrNull", "description": "When a rotated credential stops working."},
            "last_used_at": {
              "$ref": "#/components/schemas/TimeOrNull",
              "description": "When it was last accepted, exact to half a minute; null: never, as far as is known."},
            "expires_soon": {"type": "boolean", "description": "An active key that comes near its end: rotate it."},
            "imported": {"type": "boolean"}}},
        "CredentialPage": {
          "type": "object", "required": ["items", "next"],
          "properties": {
            "items": {"type": "array", "items": {"$ref": "#/components/schemas/Credential"}},
            "next": {"type": ["string", "null"]}}},
        "KeyCreateRequest": {
          "type": "object", "additionalProperties": false, "required": ["owner"],
          "properties": {
            "owner": {"type": "string"},
            "name": {"type": "string"},
            "scope": {"$ref": "#/components/schemas/Scope"},
            "aud": {"$ref": "#/components/schemas/Texts"},
            "network": {"$ref": "#/components/schemas/Texts"},
            "expires_in": {"type": "integer", "description": "Life in seconds."},
            "nbf": {"$ref": "#/components/schemas/Time"},
            "count": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 1}}},
        "KeyBulkRequest": {
          "description": "As KeyCreateRequest, of more keys.",
          "type": "object", "additionalProperties": false, "required": ["owner", "count"],
          "properties": {
            "owner": {"type": "string"},
            "name": {"type": "string"},
            "scope": {"$ref": "#/components/schemas/Scope"},
            "aud": {"$ref": "#/components/schemas/Texts"},
            "network": {"$ref": "#/components/schemas/Texts"},
            "expires_in": {"type": "integer", "description": "Life in seconds."},
            "nbf": {"$ref": "#/components/schemas/Time"},
            "count": {"type": "integer", "minimum": 1, "maximum": 100000000}}},
        "KeyCreated": {
          "type": "object", "required": ["id", "key", "owner", "name", "scope", "aud", "iat", "nbf", "exp"],
          "properties": {
            "id": {"$ref": "#/components/schemas/ID"},
            "key": {"type": ["string", "null"], "description": "Null in the answer to a repeated request."},
            "owner": {"type": "string"},
            "name": {"type": ["string", "null"]},
            "scope": {"$ref": "#/components/schemas/Scope"},
            "aud": {"$ref": "#/components/schemas/Texts"},
            "iat": {"$ref": "#/components/schemas/Time"},
            "nbf": {"$ref": "#/components/schemas/TimeOrNull"},
            "exp": {"$ref": "#/components/schemas/TimeOrNull"}}},
        "KeysCreated": {
          "type": "object", "required": ["items"],
          "properties": {"items": {"type": "array", "items": {"$ref": "#/components/schemas/KeyCreated"}}}},
        "KeyEditRequest": {
          "type": "object", "additionalProperties": false,
          "description": "What is absent stays; null empties the name or lifts the limit in time.",
          "properties": {
            "name": {"type": ["string", "null"]},
            "scope": {"$ref": "#/components/schemas/Scope"},
            "aud": {"$ref": "#/components/schemas/Texts"},
            "network": {"$ref": "#/components/schemas/Texts"},
            "exp": {"$ref": "#/components/schemas/TimeOrNull"},
            "nbf": {"$ref": "#/components/schemas/TimeOrNull"}}},
        "RotationRequest": {
          "type": "object", "additionalProperties": false,
          "properties": {
            "overlap_seconds": {
              "type": "integer", "minimum": 0, "default": 86400,
              "description": "How long the old one goes on working."}}},
        "KeyRotated": {
          "allOf": [
            {"$ref": "#/components/schemas/KeyCreated"},
            {"type": "object", "required": ["predecessor", "predecessor_sunset"],
             "properties": {
               "predecessor": {"type": ["string", "null"]},
               "predecessor_sunset": {"$ref": "#/components/schemas/TimeOrNull"}}}]},
        "KeyImportRequest": {
          "type": "object", "additionalProperties": false, "required": ["lines"],
          "properties": {
            "lines": {
              "type": "array", "minItems": 1, "maxItems": 1000,
              "items": {
                "type": "object", "additionalProperties": false, "required": ["owner"],
                "description": "Exactly one of key, sha256, sha512 and hmac_sha256. A hash is that of the key's own bytes, in hexadecimal digits, base64 or base64url.",
                "oneOf": [
                  {"required": ["key"]}, {"required": ["sha256"]}, {"required": ["sha512"]},
                  {"required": ["hmac_sha256", "hmac_key_name"]}],
                "properties": {
                  "key": {"type": "string", "minLength": 20, "maxLength": 512},
                  "sha256": {"type": "string", "minLength": 43, "maxLength": 64},
                  "sha512": {"type": "string", "minLength": 86, "maxLength": 128},
                  "hmac_sha256": {"type": "string", "minLength": 43, "maxLength": 64},
                  "hmac_key_name": {
                    "type": "string", "pattern": "^[a-z][a-z0-9_-]{0,31}$",
                    "description": "Which `hmac` line of the pepper file holds the key of the HMAC."},
                  "owner": {"type": "string"},
                  "name": {"type": "string"},
                  "scope": {"$ref": "#/components/schemas/Scope"},
                  "aud": {"$ref": "#/components/schemas/Texts"},
                  "network": {"$ref": "#/components/schemas/Texts"},
                  "expires_in": {"type": "integer"},
                  "nbf": {"$ref": "#/components/schemas/Time"}}}}}},
        "KeyImportResult": {
          "type": "object", "required": ["imported", "existing", "refused"],
          "properties": {
            "imported": {
              "type": "array", "items": {"$ref": "#/components/schemas/ID"},
              "description": "In the order of the lines that were neither there nor refused."},
            "existing": {
              "type": "array", "description": "What was imported before, for the same owner, and is not revoked.",
              "items": {
                "type": "object", "required": ["line", "id"],
                "properties": {
                  "line": {"type": "integer", "description": "Index into the lines of the request, from 0."},
                  "id": {"$ref": "#/components/schemas/ID"}}}},
            "refused": {
              "type": "array",
              "items": {
                "type": "object", "required": ["line", "reason"],
                "properties": {
                  "line": {"type": "integer", "description": "Index into the lines of the request, from 0."},
                  "reason": {"type": "string"}}}}}},
        "RevocationRequest": {
          "type": "object", "additionalProperties": false, "required": ["ids"],
          "properties": {
            "ids": {"type": "array", "minItems": 1, "maxItems": 1000, "items": {"$ref": "#/components/schemas/ID"}},
            "chain": {
              "type": "boolean", "default": false, "description": "Ends predecessors and successors too."}}},
        "RevocationResult": {
          "type": "object", "required": ["revoked", "already_revoked", "unknown", "living_relatives"],
          "properties": {
            "revoked": {"type": "array", "items": {"$ref": "#/components/schemas/ID"}},
            "already_revoked": {"type": "array", "items": {"$ref": "#/components/schemas/ID"}},
            "unknown": {"type": "array", "items": {"$ref": "#/components/schemas/ID"}},
            "living_relatives": {
              "type": "array", "items": {"$ref": "#/components/schemas/ID"},
              "description": "Predecessors and successors that still work."}}},
        "BulkRevocationRequest": {
          "type": "object", "additionalProperties": false,
          "properties": {
            "issued_before": {
              "$ref": "#/components/schemas/Time",
              "description": "Spares what was issued at this time or later; everything issued so far when absent."}}},
        "BulkRevocationResult": {
          "type": "object", "required": ["journal_number", "revoked", "count_complete"],
          "properties": {
            "journal_number": {"type": "integer", "minimum": 0},
            "revoked": {
              "type": "object", "additionalProperties": {"type": "integer", "minimum": 1},
              "description": "How many credentials lived until then, by kind."},
            "count_complete": {
              "type": "boolean", "description": "False: there are more; counting all of them would have taken too long."}}}
        """#
}
