import CredentialDigest
import CredentialModel
import CredentialStore
public import Foundation
import Issuance
import LMDB
import RecordCache

/// A store of many millions of keys, all of them in its cache.
public final class LargeStore: @unchecked Sendable {
    private let root: URL
    private let store: CredentialStore
    private let keys: PresentedTexts

    /// Bytes of a record in the cache, and of its share of the free places without which some sets would be too small.
    private static let cacheBytesEach = 300
    private static let mapBytesEach = 512

    /// Issues the keys. Takes a quarter of a minute and 700 MB for each million.
    public init(count: Int, under folder: URL = FileManager.default.temporaryDirectory) async throws {
        root = folder.appendingPathComponent("countersign-measured-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
        guard let peppers = PepperFile.random() else { throw MeasuringFault("no pepper") }
        let path = root.path + "/store"
        let options = StoreOptions(
            mapBytes: max(1 << 30, count * Self.mapBytesEach), cacheBytes: count * Self.cacheBytesEach)
        let source = try CredentialStore.create(in: path, vendor: .iiniit, peppers: peppers, options: options)
        let request = KeyRequest(
            owner: "service", scope: ["read", "write"], expiresInSeconds: 86_400, count: count)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count * CredentialFormat.byteCount)
        try await Issuer(store: source).bulkCreation(of: request).run { chunk in
            for (_, secret) in chunk.keys { bytes.append(contentsOf: secret.revealBytes()) }
        }
        keys = PresentedTexts(bytes: bytes, stride: CredentialFormat.byteCount, count: count)
        // Reopened, so that the filter of ids is sized for the keys in the store.
        Self.close(source)
        store = try CredentialStore.open(in: path, peppers: peppers, options: options)
        try store.completeFilter()
        _ = try MeasuredPath.verifying("", keys, in: store, as: nil).run(count)
    }

    /// A hit, each key in turn.
    public func hit() throws -> MeasuredPath {
        try MeasuredPath.verifying("verify hit, \(keys.count) keys", keys, in: store, as: nil)
    }

    /// The same in batches.
    public func batch() throws -> MeasuredPath {
        try MeasuredPath.verifyingBatches("verify hit, in batches, \(keys.count) keys", keys, in: store)
    }

    /// The share of the keys whose records are in the cache.
    public func cachedShare() -> Double {
        var record = CredentialRecord.blank
        var cached = 0
        for index in 0..<keys.count {
            let start = index * keys.stride
            let text = Array(keys.bytes[start..<start + keys.stride])
            guard let credential = NativeCredential(text.octets, vendor: .iiniit) else { continue }
            if store.published.cache.lookUp(credential.id, into: &record, touch: false) != nil { cached += 1 }
        }
        return Double(cached) / Double(keys.count)
    }

    private static func close(_ store: CredentialStore) { store.close() }

    public func close() {
        store.close()
        try? FileManager.default.removeItem(at: root)
    }
}
