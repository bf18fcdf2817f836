extension OpenAPIDocument {
    static let clientSchemas = #"""
        "ClientCreateRequest": {
          "type": "object", "additionalProperties": false, "required": ["name"],
          "properties": {
            "name": {"type": "string"},
            "grant_types": {
              "type": "array",
              "items": {"type": "string", "enum": ["authorization_code", "client_credentials", "refresh_token"]}},
            "redirect_uris": {"$ref": "#/components/schemas/Texts"},
            "scope": {"$ref": "#/components/schemas/Scope"},
            "aud": {"$ref": "#/components/schemas/Texts"},
            "may": {
              "type": "array", "items": {"type": "string", "enum": ["introspect", "changes", "admin"]},
              "description": "Rights over this service."},
            "certificate_san": {"type": "string"},
            "public": {"type": "boolean", "default": false, "description": "Cannot keep a secret and gets none."}}},
        "Client": {
          "type": "object",
          "required": [
            "client_id", "name", "grant_types", "redirect_uris", "scope", "aud", "may", "certificate_san", "public",
            "created_at", "revoked_at", "secrets"],
          "properties": {
            "client_id": {"type": "string"},
            "name": {"type": "string"},
            "grant_types": {"$ref": "#/components/schemas/Texts"},
            "redirect_uris": {"$ref": "#/components/schemas/Texts"},
            "scope": {"$ref": "#/components/schemas/Scope"},
            "aud": {"$ref": "#/components/schemas/Texts"},
            "may": {"$ref": "#/components/schemas/Texts"},
            "certificate_san": {"type": ["string", "null"]},
            "public": {"type": "boolean"},
            "created_at": {"$ref": "#/components/schemas/Time"},
            "revoked_at": {"$ref": "#/components/schemas/TimeOrNull"},
            "secrets": {
              "type": "array",
              "items": {
                "type": "object", "required": ["id", "state", "iat"],
                "properties": {
                  "id": {"$ref": "#/components/schemas/ID"},
                  "state": {"$ref": "#/components/schemas/State"},
                  "iat": {"$ref": "#/components/schemas/Time"},
                  "exp": {"$ref": "#/components/schemas/TimeOrNull"},
                  "sunset": {"$ref": "#/components/schemas/TimeOrNull"}}}}}},
        "ClientPage": {
          "type": "object", "required": ["items", "next"],
          "properties": {
            "items": {"type": "array", "items": {"$ref": "#/components/schemas/Client"}},
            "next": {"type": ["string", "null"]}}},
        "ClientIssued": {
          "allOf": [
            {"$ref": "#/components/schemas/Client"},
            {"type": "object", "required": ["client_secret"],
             "properties": {
               "client_secret": {
                 "type": ["string", "null"],
                 "description": "Null for a public client and in the answer to a repeated request."}}}]},
        "TokenIssueRequest": {
          "type": "object", "additionalProperties": false, "required": ["client_id"],
          "properties": {
            "client_id": {"type": "string"},
            "sub": {"type": "string"},
            "scope": {"$ref": "#/components/schemas/Scope"},
            "aud": {"$ref": "#/components/schemas/Texts"},
            "expires_in": {"type": "integer", "description": "Life in seconds."}}},
        "TokenIssued": {
          "type": "object",
          "required": ["id", "access_token", "token_type", "client_id", "sub", "scope", "aud", "iat", "exp"],
          "properties": {
            "id": {"$ref": "#/components/schemas/ID"},
            "access_token": {"type": ["string", "null"], "description": "Null in the answer to a repeated request."},
            "token_type": {"const": "Bearer"},
            "client_id": {"type": ["string", "null"]},
            "sub": {"type": "string"},
            "scope": {"$ref": "#/components/schemas/Scope"},
            "aud": {"$ref": "#/components/schemas/Texts"},
            "iat": {"$ref": "#/components/schemas/Time"},
            "exp": {"$ref": "#/components/schemas/TimeOrNull"}}}
        """#
}
