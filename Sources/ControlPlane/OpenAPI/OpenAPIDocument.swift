/// `GET /openapi.json`: the administration API for programs (OpenAPI 3.1), written by hand.
///
/// It is text in the program and not a file beside it, so that one executable is all there is to install. A test holds
/// it against the route table in both directions: paths, methods, rights and query parameters.
enum OpenAPIDocument {
    static let bytes = Array(text.utf8)

    private static let text = """
        {"openapi": "3.1.0",
        "info": \(info),
        "paths": {\([keyPaths, clientPaths, tokenPaths, ownerPaths, authorizationPaths, storePaths, auditPaths, openPaths].joined(separator: ","))},
        "components": {
        "parameters": \(parameters),
        "responses": \(responses),
        "schemas": {\([credentialSchemas, clientSchemas, authorizationSchemas, serviceSchemas, auditSchemas].joined(separator: ","))}}}
        """

    private static let info = #"""
        {
          "title": "Countersign administration",
          "version": "1",
          "summary": "Issue, show, rotate and revoke API keys, OAuth clients and tokens.",
          "description": "Served on the control socket, whose file permission is the authentication. Times are seconds since the Unix epoch. A secret is shown once, when it is made. Requests are read strictly: unknown, repeated or mistyped members are errors. `x-right` is the right that a caller needs where callers are told apart."
        }
        """#

    private static let parameters = #"""
        {
          "CredentialID": {
            "name": "id", "in": "path", "required": true,
            "description": "The public part of the credential.",
            "schema": {"$ref": "#/components/schemas/ID"}},
          "ClientID": {
            "name": "client_id", "in": "path", "required": true, "schema": {"type": "string"}},
          "Search": {
            "name": "search", "in": "query", "schema": {"type": "string"},
            "description": "Only those whose id begins with this, or whose owner or name holds it. A page may have few items and still not be the last."},
          "After": {
            "name": "after", "in": "query", "schema": {"type": "string"},
            "description": "The `next` of the page before."},
          "Limit": {
            "name": "limit", "in": "query",
            "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}},
          "OfOwner": {"name": "owner", "in": "query", "schema": {"type": "string"}},
          "OfClient": {"name": "client_id", "in": "query", "schema": {"type": "string"}},
          "IdempotencyKey": {
            "name": "Idempotency-Key", "in": "header",
            "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
            "description": "Makes a repetition safe for 24 hours: the same request returns the same ids with null for the secrets, another request with this key is refused with 422. Kept in the store, across a restart."}
        }
        """#

    private static let responses = #"""
        {
          "Problem": {
            "description": "An error (RFC 9457).",
            "headers": {
              "Retry-After": {
                "description": "Seconds to wait; with errors that pass by themselves.", "schema": {"type": "integer"}}},
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
        }
        """#
}
