extension OpenAPIDocument {
    static let authorizationPaths = #"""
        "/v1/authorizations/inspection": {
          "post": {
            "operationId": "inspectAuthorization", "summary": "What an authorization request asks for",
            "description": "For the application that signs people in: the browser comes to it with login_challenge.",
            "x-right": "countersign:authorizations:decide",
            "requestBody": {
              "required": true,
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/AuthorizationInspectionRequest"}}}},
            "responses": {
              "200": {
                "description": "The request.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/AuthorizationInspection"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}}},
        "/v1/authorizations/acceptance": {
          "post": {
            "operationId": "acceptAuthorization", "summary": "Somebody has signed in and agreed",
            "x-right": "countersign:authorizations:decide",
            "requestBody": {
              "required": true,
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/AuthorizationAcceptance"}}}},
            "responses": {
              "200": {
                "description": "Where to send the browser.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/AuthorizationDecided"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}}},
        "/v1/authorizations/rejection": {
          "post": {
            "operationId": "rejectAuthorization", "summary": "Somebody did not sign in or did not agree",
            "x-right": "countersign:authorizations:decide",
            "requestBody": {
              "required": true,
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/AuthorizationRejection"}}}},
            "responses": {
              "200": {
                "description": "Where to send the browser.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/AuthorizationDecided"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}}},
        "/v1/consents": {
          "get": {
            "operationId": "listConsents", "summary": "What somebody has agreed to",
            "x-right": "countersign:consents:read",
            "parameters": [{"name": "sub", "in": "query", "required": true, "schema": {"type": "string"}}],
            "responses": {
              "200": {
                "description": "One for each client.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ConsentList"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}},
          "delete": {
            "operationId": "revokeConsent", "summary": "Take a consent back",
            "description": "Everything that the client holds for this subject ends with it.",
            "x-right": "countersign:consents:revoke",
            "parameters": [
              {"name": "sub", "in": "query", "required": true, "schema": {"type": "string"}},
              {"name": "client_id", "in": "query", "required": true, "schema": {"type": "string"}}],
            "responses": {
              "204": {"description": "There is none any more."},
              "default": {"$ref": "#/components/responses/Problem"}}}}
        """#

    static let authorizationSchemas = #"""
        "AuthorizationInspectionRequest": {
          "type": "object", "additionalProperties": false, "required": ["login_challenge"],
          "properties": {"login_challenge": {"type": "string"}, "sub": {"type": "string"}}},
        "AuthorizationInspection": {
          "type": "object",
          "required": ["client_id", "client_name", "scope", "aud", "redirect_uri", "exp", "consented_scope"],
          "properties": {
            "client_id": {"type": "string"}, "client_name": {"type": "string"},
            "scope": {"$ref": "#/components/schemas/Scope"}, "aud": {"$ref": "#/components/schemas/Texts"},
            "redirect_uri": {"type": "string"}, "exp": {"$ref": "#/components/schemas/Time"},
            "consented_scope": {"$ref": "#/components/schemas/Scope"}}},
        "AuthorizationAcceptance": {
          "type": "object", "additionalProperties": false, "required": ["login_challenge", "sub"],
          "properties": {
            "login_challenge": {"type": "string"}, "sub": {"type": "string"},
            "scope": {"$ref": "#/components/schemas/Scope"}, "remember": {"type": "boolean", "default": false}}},
        "AuthorizationRejection": {
          "type": "object", "additionalProperties": false, "required": ["login_challenge"],
          "properties": {"login_challenge": {"type": "string"}, "reason": {"type": "string"}}},
        "AuthorizationDecided": {
          "type": "object", "required": ["redirect_to"], "properties": {"redirect_to": {"type": "string"}}},
        "Consent": {
          "type": "object", "required": ["sub", "client_id", "client_name", "scope", "given_at"],
          "properties": {
            "sub": {"type": "string"}, "client_id": {"type": "string"}, "client_name": {"type": "string"},
            "scope": {"$ref": "#/components/schemas/Scope"}, "given_at": {"$ref": "#/components/schemas/Time"}}},
        "ConsentList": {
          "type": "object", "required": ["items"],
          "properties": {"items": {"type": "array", "items": {"$ref": "#/components/schemas/Consent"}}}}
        """#
}
