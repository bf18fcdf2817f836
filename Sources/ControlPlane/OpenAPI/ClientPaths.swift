extension OpenAPIDocument {
    static let clientPaths = #"""
        "/v1/clients": {
          "get": {
            "operationId": "listClients", "summary": "List clients, a page at a time",
            "x-right": "countersign:clients:read",
            "parameters": [
              {"$ref": "#/components/parameters/Search"},
              {"$ref": "#/components/parameters/After"}, {"$ref": "#/components/parameters/Limit"}],
            "responses": {
              "200": {
                "description": "A page of clients.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ClientPage"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}},
          "post": {
            "operationId": "createClient", "summary": "Register a client", "x-right": "countersign:clients:write",
            "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}],
            "requestBody": {
              "required": true,
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ClientCreateRequest"}}}},
            "responses": {
              "201": {
                "description": "The client. This is the only time that its secret is shown.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ClientIssued"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}}},
        "/v1/clients/{client_id}": {
          "parameters": [{"$ref": "#/components/parameters/ClientID"}],
          "get": {
            "operationId": "showClient", "summary": "Show a client", "x-right": "countersign:clients:read",
            "responses": {
              "200": {
                "description": "The client without its secrets.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Client"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}},
          "delete": {
            "operationId": "revokeClient", "summary": "Revoke a client and all that was issued through it",
            "x-right": "countersign:clients:revoke",
            "responses": {
              "200": {
                "description": "Everything issued under a lower journal number is dead.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/BulkRevocationResult"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}}},
        "/v1/clients/{client_id}/secrets": {
          "parameters": [{"$ref": "#/components/parameters/ClientID"}],
          "post": {
            "operationId": "rotateClientSecret", "summary": "Make a new secret for a client",
            "x-right": "countersign:clients:write",
            "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}],
            "requestBody": {
              "required": false,
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RotationRequest"}}}},
            "responses": {
              "201": {
                "description": "The client with its new secret. This is the only time that it is shown.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ClientIssued"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}}},
        "/v1/clients/{client_id}/revocations": {
          "parameters": [{"$ref": "#/components/parameters/ClientID"}],
          "post": {
            "operationId": "revokeClientCredentials",
            "summary": "Revoke all keys and tokens that were issued through a client; the client itself stays",
            "x-right": "countersign:clients:revoke",
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
