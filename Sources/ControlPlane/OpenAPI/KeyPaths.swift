extension OpenAPIDocument {
    static let keyPaths = #"""
        "/v1/keys": {
          "get": {
            "operationId": "listKeys", "summary": "List keys, a page at a time", "x-right": "countersign:keys:read",
            "parameters": [
              {"$ref": "#/components/parameters/OfOwner"}, {"$ref": "#/components/parameters/OfClient"},
              {"name": "expires_before", "in": "query", "description": "Only keys that are alive and end before this time.",
               "schema": {"$ref": "#/components/schemas/Time"}},
              {"name": "rotated", "in": "query", "description": "Only keys that have a successor and still work.",
               "schema": {"type": "boolean", "default": false}},
              {"$ref": "#/components/parameters/Search"}, {"$ref": "#/components/parameters/After"}, {"$ref": "#/components/parameters/Limit"}],
            "responses": {
              "200": {
                "description": "A page of keys.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/CredentialPage"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}},
          "post": {
            "operationId": "createKeys", "summary": "Make keys", "x-right": "countersign:keys:write",
            "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}],
            "requestBody": {
              "required": true,
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/KeyCreateRequest"}}}},
            "responses": {
              "201": {
                "description": "The keys. This is the only time that they are shown.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/KeysCreated"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}}},
        "/v1/keys/bulk": {
          "post": {
            "operationId": "createManyKeys", "summary": "Make many keys alike",
            "description": "Up to 100,000,000, each sent as a line as soon as it is durable. A body without its end means that not all were made: what was received exists, and up to 2,000 more may. A request with an Idempotency-Key is refused. One bulk creation is done at a time: a second one is refused with 503 `busy` and Retry-After. It ends when its client closes the connection.",
            "x-right": "countersign:keys:write",
            "requestBody": {
              "required": true,
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/KeyBulkRequest"}}}},
            "responses": {
              "200": {
                "description": "A key a line, in no order. This is the only time that they are shown.",
                "content": {"application/x-ndjson": {"schema": {"$ref": "#/components/schemas/KeyCreated"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}}},
        "/v1/keys/import": {
          "post": {
            "operationId": "importKeys", "summary": "Take over keys that were made elsewhere",
            "description": "At most 1,000 lines and 8 MiB. A line holds a key in the clear or a hash of it. A line that cannot be taken is refused and the others are taken; what is there already, for the same owner and not revoked, is left as it is, so that an import can be repeated.",
            "x-right": "countersign:keys:write",
            "requestBody": {
              "required": true,
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/KeyImportRequest"}}}},
            "responses": {
              "200": {
                "description": "What was taken, what was there already, and what was refused.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/KeyImportResult"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}}},
        "/v1/keys/export": {
          "get": {
            "operationId": "exportKeys", "summary": "All keys without their secrets",
            "description": "Every key that is there from the beginning of the answer to its end stands in it once, in the order of the ids, as it was at some moment between; a key made or changed meanwhile may or may not show it. A body without its end means that some are missing.",
            "x-right": "countersign:keys:read",
            "parameters": [
              {"$ref": "#/components/parameters/OfOwner"}, {"$ref": "#/components/parameters/OfClient"}],
            "responses": {
              "200": {
                "description": "A key a line.",
                "content": {"application/x-ndjson": {"schema": {"$ref": "#/components/schemas/Credential"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}}},
        "/v1/keys/revocations": {
          "post": {
            "operationId": "revokeKeys", "summary": "Revoke keys",
            "description": "When the answer comes, no reader of this node accepts them any more.",
            "x-right": "countersign:keys:revoke",
            "requestBody": {
              "required": true,
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RevocationRequest"}}}},
            "responses": {
              "200": {
                "description": "What is revoked now.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RevocationResult"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}}},
        "/v1/keys/{id}": {
          "parameters": [{"$ref": "#/components/parameters/CredentialID"}],
          "get": {
            "operationId": "showKey", "summary": "Show a key", "x-right": "countersign:keys:read",
            "responses": {
              "200": {
                "description": "The key without its secret.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Credential"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}},
          "patch": {
            "operationId": "editKey", "summary": "Change a key (merge patch, RFC 7396)",
            "description": "Needs each right over this service that the key has before and after the change; else 403.",
            "x-right": "countersign:keys:write",
            "requestBody": {
              "required": true,
              "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/KeyEditRequest"}},
                "application/merge-patch+json": {"schema": {"$ref": "#/components/schemas/KeyEditRequest"}}}},
            "responses": {
              "200": {
                "description": "The key as it is now.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Credential"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}},
          "delete": {
            "operationId": "revokeKey", "summary": "Revoke a key", "x-right": "countersign:keys:revoke",
            "description": "Ends any key, also one with rights that the caller lacks: ending gives nobody anything.",
            "parameters": [
              {"name": "chain", "in": "query", "schema": {"type": "boolean", "default": false},
               "description": "Ends predecessors and successors too."}],
            "responses": {
              "200": {
                "description": "What is revoked now.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RevocationResult"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}}},
        "/v1/keys/{id}/rotation": {
          "parameters": [{"$ref": "#/components/parameters/CredentialID"}],
          "post": {
            "operationId": "rotateKey", "summary": "Make a successor with the same rights",
            "description": "Needs each right over this service that the key has; else 403.",
            "x-right": "countersign:keys:write",
            "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}],
            "requestBody": {
              "required": false,
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RotationRequest"}}}},
            "responses": {
              "201": {
                "description": "The successor. This is the only time that its key is shown.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/KeyRotated"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}}}
        """#
}
