extension OpenAPIDocument {
    static let tokenPaths = #"""
        "/v1/tokens": {
          "get": {
            "operationId": "listTokens", "summary": "List tokens, a page at a time",
            "x-right": "countersign:tokens:read",
            "parameters": [
              {"name": "kind", "in": "query",
               "schema": {
                 "type": "string", "enum": ["access_token", "refresh_token", "authorization_code"],
                 "default": "access_token"}},
              {"$ref": "#/components/parameters/OfOwner"}, {"$ref": "#/components/parameters/OfClient"},
              {"$ref": "#/components/parameters/Search"},
              {"$ref": "#/components/parameters/After"}, {"$ref": "#/components/parameters/Limit"}],
            "responses": {
              "200": {
                "description": "A page of tokens.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/CredentialPage"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}},
          "post": {
            "operationId": "issueToken", "summary": "Issue an access token", "x-right": "countersign:tokens:issue",
            "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}],
            "requestBody": {
              "required": true,
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/TokenIssueRequest"}}}},
            "responses": {
              "201": {
                "description": "The token. This is the only time that it is shown.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/TokenIssued"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}}},
        "/v1/tokens/revocations": {
          "post": {
            "operationId": "revokeTokens", "summary": "Revoke tokens", "x-right": "countersign:tokens:revoke",
            "requestBody": {
              "required": true,
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RevocationRequest"}}}},
            "responses": {
              "200": {
                "description": "What is revoked now.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RevocationResult"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}}},
        "/v1/tokens/{id}": {
          "parameters": [{"$ref": "#/components/parameters/CredentialID"}],
          "get": {
            "operationId": "showToken", "summary": "Show a token", "x-right": "countersign:tokens:read",
            "responses": {
              "200": {
                "description": "The token without its secret.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Credential"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}},
          "delete": {
            "operationId": "revokeToken", "summary": "Revoke a token", "x-right": "countersign:tokens:revoke",
            "responses": {
              "200": {
                "description": "What is revoked now.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RevocationResult"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}}}
        """#

    static let ownerPaths = #"""
        "/v1/owners/{owner}/revocations": {
          "parameters": [
            {"name": "owner", "in": "path", "required": true, "schema": {"type": "string"},
             "description": "Percent-encoded."}],
          "post": {
            "operationId": "revokeOwner", "summary": "Revoke all that was issued to an owner",
            "description": "404 with the nearest names for an owner of whom nothing is known.",
            "x-right": "countersign:owners:revoke",
            "requestBody": {
              "required": false,
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/BulkRevocationRequest"}}}},
            "responses": {
              "200": {
                "description": "Everything issued under a lower journal number is dead.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/BulkRevocationResult"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}}}
        """#
}
