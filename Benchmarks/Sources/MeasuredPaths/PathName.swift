/// The verifier's paths, under names that files can have.
public enum PathName: String, CaseIterable, Sendable {
    case hit
    case hitOf1000 = "hit-of-1000-keys"
    case batch
    case batchOf1000 = "batch-of-1000-keys"
    case miss
    case wrongSecret = "wrong-secret"
    case unknownID = "unknown-id"
    case revoked
    case imported
    case parse
    case tag
}

extension MeasuredStore {
    /// The path of that name, ready to run.
    public func path(_ name: PathName) throws -> MeasuredPath {
        switch name {
        case .hit: try hit()
        case .hitOf1000: try hitOfFew(1_000)
        case .batch: try batch()
        case .batchOf1000: try batchOfFew(1_000)
        case .miss: try miss()
        case .wrongSecret: try wrongSecretOfCached()
        case .unknownID: try unknownID()
        case .revoked: try revokedKey()
        case .imported: try importedKey()
        case .parse: parse()
        case .tag: try tag()
        }
    }

    private func wrongSecretOfCached() throws -> MeasuredPath {
        _ = try hit()
        return try wrongSecret()
    }
}
