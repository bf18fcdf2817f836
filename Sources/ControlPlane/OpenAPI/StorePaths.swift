extension OpenAPIDocument {
    static let storePaths = #"""
        "/v1/peppers": {
          "get": {
            "operationId": "listPeppers", "summary": "List the peppers by number",
            "x-right": "countersign:peppers:read",
            "responses": {
              "200": {
                "description": "The peppers, without their bytes.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/PepperList"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}},
          "post": {
            "operationId": "addPepper", "summary": "Add a pepper; new credentials are tagged with it",
            "description": "A request with an Idempotency-Key is refused: it cannot be repeated safely.",
            "x-right": "countersign:peppers:write",
            "responses": {
              "201": {
                "description": "The pepper.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pepper"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}}},
        "/v1/peppers/{number}": {
          "parameters": [{"name": "number", "in": "path", "required": true, "schema": {"type": "integer"}}],
          "delete": {
            "operationId": "retirePepper", "summary": "Retire a pepper that no credential uses any more",
            "x-right": "countersign:peppers:write",
            "responses": {
              "204": {"description": "It is retired."},
              "default": {"$ref": "#/components/responses/Problem"}}}},
        "/v1/store/statistics": {
          "get": {
            "operationId": "storeStatistics", "summary": "Figures of the store", "x-right": "countersign:store:read",
            "responses": {
              "200": {
                "description": "Names and values.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/StoreStatistics"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}}},
        "/v1/store/check": {
          "get": {
            "operationId": "checkStore", "summary": "Read the whole store and report what is wrong",
            "description": "One is done at a time: a second one is refused with 503 `busy` and Retry-After.",
            "x-right": "countersign:store:read",
            "responses": {
              "200": {
                "description": "The problems found; none when the store is sound.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/StoreCheck"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}}},
        "/v1/store/backup": {
          "post": {
            "operationId": "backupStore", "summary": "Make and send a compacted copy of the running store",
            "description": "One is done at a time: a second one is refused with 503 `busy` and Retry-After.",
            "x-right": "countersign:store:backup",
            "responses": {
              "200": {
                "description": "The copy. It is whole when its length is the Content-Length.",
                "content": {"application/octet-stream": {}}},
              "default": {"$ref": "#/components/responses/Problem"}}}},
        "/v1/store/revocations": {
          "get": {
            "operationId": "exportRevocations", "summary": "Export what is revoked, for a backup that is to be restored",
            "description": "One is done at a time: a second one is refused with 503 `busy` and Retry-After.",
            "x-right": "countersign:store:backup",
            "responses": {
              "200": {
                "description": "Lines of text. They are whole when the last begins with 'end'.",
                "content": {"text/plain": {}}},
              "default": {"$ref": "#/components/responses/Problem"}}}},
        "/metrics": {
          "get": {
            "operationId": "metrics", "summary": "What Prometheus scrapes",
            "x-right": "countersign:metrics:read",
            "responses": {
              "200": {"description": "Text exposition format 0.0.4.", "content": {"text/plain": {"schema": {"type": "string"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}}},
        "/v1/explain": {
          "post": {
            "operationId": "explain", "summary": "Tell why a credential is accepted or not",
            "x-right": "countersign:explain",
            "requestBody": {
              "required": true,
              "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ExplainRequest"}}}},
            "responses": {
              "200": {
                "description": "The verdict and its reason.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Explanation"}}}},
              "default": {"$ref": "#/components/responses/Problem"}}}}
        """#

    static let openPaths = #"""
        "/livez": {
          "get": {
            "operationId": "live", "summary": "Whether the process runs",
            "responses": {
              "200": {
                "description": "It does.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Health"}}}}}}},
        "/readyz": {
          "get": {
            "operationId": "ready", "summary": "Whether the node takes requests",
            "responses": {
              "200": {
                "description": "It does.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Health"}}}},
              "503": {"$ref": "#/components/responses/Problem"}}}},
        "/openapi.json": {
          "get": {
            "operationId": "openapi", "summary": "This document",
            "responses": {"200": {"description": "OpenAPI 3.1.", "content": {"application/json": {}}}}}}
        """#
}
