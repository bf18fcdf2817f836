import AdministrationAPI

extension OpenAPIDocument {
    static let serviceSchemas = #"""
        "Pepper": {
          "type": "object", "required": ["number", "newest", "records"],
          "properties": {
            "number": {"type": "integer"},
            "newest": {"type": "boolean", "description": "New credentials are tagged with it."},
            "records": {"type": "integer", "description": "How many credentials are tagged with it."}}},
        "PepperList": {
          "type": "object", "required": ["items", "hmac_keys"],
          "properties": {
            "items": {"type": "array", "items": {"$ref": "#/components/schemas/Pepper"}},
            "hmac_keys": {
              "type": "array", "items": {"type": "string"},
              "description": "The names of the keys of other systems that hashes can be imported under."}}},
        "StoreStatistics": {
          "type": "object", "required": ["items"],
          "properties": {
            "items": {
              "type": "array",
              "items": {
                "type": "object", "required": ["name", "value"],
                "properties": {"name": {"type": "string"}, "value": {"type": "integer"}}}}}},
        "StoreCheck": {
          "type": "object", "required": ["sound", "problems"],
          "properties": {"sound": {"type": "boolean"}, "problems": {"$ref": "#/components/schemas/Texts"}}},
        "ExplainRequest": {
          "type": "object", "additionalProperties": false, "required": ["credential"],
          "properties": {
            "credential": {"type": "string"},
            "scope": {"$ref": "#/components/schemas/Scope"},
            "client_id": {"type": "string", "description": "The client that asks: audiences are judged by it."},
            "client_ip": {
              "type": "string",
              "description": "The address that it came from. Without one, a credential that is limited to networks is inactive with `wrong_network`."}}},
        "Explanation": {
          "type": "object", "required": ["active", "reason", "credential"],
          "properties": {
            "active": {"type": "boolean"},
            "reason": {
              "type": "string",
              "description": "`unknown` also of a client secret, a refresh token and a code: they are not for callers, and no gateway accepts them.",
              "enum": [
                "valid", "unknown", "expired", "not_yet_valid", "revoked", "insufficient_scope", "wrong_audience",
                "wrong_network", "malformed"]},
            "credential": {
              "oneOf": [{"$ref": "#/components/schemas/Credential"}, {"type": "null"}],
              "description": "What the store knows of it, if its secret is right; its state does not say that a gateway accepts it."}}},
        "Health": {
          "type": "object", "required": ["status"],
          "properties": {"status": {"type": "string", "enum": ["alive", "ready"]}}},
        "Problem": {
          "type": "object", "required": ["type", "title", "status"],
          "properties": {
            "type": {"type": "string", "format": "uri", "enum": [\#(problemTypes)]},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "member": {"type": "string", "description": "The member or parameter that is at fault."}}}
        """#

    /// The one list that is not written by hand: the types themselves.
    private static let problemTypes = ProblemType.all.map { "\"\($0.uri)\"" }.joined(separator: ", ")
}
