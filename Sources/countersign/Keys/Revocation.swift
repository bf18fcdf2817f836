import AdministrationAPI

/// Revokes by id, in as few requests as the API allows, and tells what became of each.
struct Revocation {
    let path: String
    let ids: [String]
    let chain: Bool

    /// - Throws: ``CommandStatus/negative`` when an id is not known, or a chain could not be followed to its ends.
    func run(_ connection: ControlConnection, json: Bool) async throws {
        var isIncomplete = false
        for start in stride(from: 0, to: ids.count, by: RevocationRequest.idsMax) {
            let part = Array(ids[start..<min(start + RevocationRequest.idsMax, ids.count)])
            let request = RevocationRequest(ids: part, chain: chain)
            let result: RevocationResult = try await connection.send(.POST, path, body: request)
            if json { try Console.json(result) } else { try Self.show(result) }
            isIncomplete = isIncomplete || !result.unknown.isEmpty || !result.chainBrokenAt.isEmpty
        }
        if isIncomplete { throw CommandStatus.negative }
    }

    static func show(_ result: RevocationResult) throws {
        try Console.line(table(result).render(withHeader: false))
        if !result.livingRelatives.isEmpty {
            let ids = result.livingRelatives.joined(separator: " ")
            Console.error("Predecessors or successors still work: \(ids). --chain ends them.")
        }
        if !result.chainBrokenAt.isEmpty {
            let ids = result.chainBrokenAt.joined(separator: " ")
            Console.error(
                "The chain could not be followed beyond these keys, which are gone or damaged: \(ids). What was "
                    + "rotated before or after them may still work. Find it with 'countersign key list --owner' and "
                    + "revoke it by id, or revoke everything of the owner: --owner.")
        }
    }

    static func table(_ result: RevocationResult) -> Table {
        var table = Table(["ID", "RESULT"])
        for id in result.revoked { table.add([id, "revoked"]) }
        for id in result.alreadyRevoked { table.add([id, "was revoked already"]) }
        for id in result.unknown { table.add([id, "unknown"]) }
        return table
    }
}

extension BulkRevocationResult {
    /// "3 api_key, 1 access_token", "at least …", or "nothing alive".
    var countText: String {
        guard !revoked.isEmpty else { return isCountComplete ? "nothing alive (all of it was dead before)" : "what is" }
        let parts = revoked.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
        return (isCountComplete ? "" : "at least ") + parts.joined(separator: ", ")
    }
}
