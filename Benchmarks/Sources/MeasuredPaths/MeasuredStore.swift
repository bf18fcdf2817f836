import CredentialDigest
import CredentialModel
public import CredentialStore
public import Foundation
public import Issuance
import LMDB
import RecordCache

/// A store made for measuring, with copies of the same bytes: one whose cache holds every record, one whose cache holds
/// next to none, one that LMDB's own calls read, and one that they write to.
public final class MeasuredStore: @unchecked Sendable {
    /// Keys that are used unless told otherwise: the set that hits are spread over.
    public static let keyCountDefault = 100_000
    private static let specialCount = 1_000
    private static let pageCount = 1_000

    /// Holds the copies of all records.
    public let warm: CredentialStore
    /// Its cache is so small that each key has been pushed out before its turn comes again.
    public let cold: CredentialStore
    /// Takes what the measurement issues.
    public let issuing: Issuer
    let bare: BareTable

    public let keys: PresentedTexts
    /// Known ids with wrong secrets.
    public let forged: PresentedTexts
    /// Well-formed, and never issued.
    public let unknown: PresentedTexts
    public let revoked: PresentedTexts
    public let imported: PresentedTexts
    /// The ids of ``keys``, in their order.
    let ids: [UInt64]

    /// The folder of the copy that LMDB's own calls write to.
    static let writtenByLMDB = "written"

    let root: URL
    let peppers: PepperFile
    let mapBytes: Int
    /// Nodes of a fleet.
    var nodes: [CredentialStore] = []

    /// Issues the keys and opens the copies. Takes a few seconds.
    /// - Parameter keyCount: a multiple of 1,000.
    /// - Parameter mapBytes: of address space for each copy.
    public init(
        keyCount: Int = keyCountDefault, mapBytes: Int = StoreOptions().mapBytes,
        under folder: URL = FileManager.default.temporaryDirectory
    ) async throws {
        root = folder.appendingPathComponent("countersign-measured-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
        guard let peppers = PepperFile.random() else { throw MeasuringFault("no pepper") }
        (self.peppers, self.mapBytes) = (peppers, mapBytes)
        let options = StoreOptions(mapBytes: mapBytes)
        let source = try CredentialStore.create(
            in: root.path + "/source", vendor: .iiniit, peppers: peppers, options: options)
        let issuer = Issuer(store: source)
        var issued: [IssuedCredential] = []
        for page in 0..<(keyCount + Self.specialCount) / Self.pageCount {
            issued += try await issuer.createKeys(
                KeyRequest(
                    owner: "service-\(page)", scope: ["read", "write"], expiresInSeconds: 86_400, count: Self.pageCount)
            )
        }
        let living = issued.prefix(keyCount)
        let ending = issued.suffix(Self.specialCount)
        _ = try await issuer.revoke(ending.map(\.summary.id), chain: false)
        let foreign = (0..<Self.specialCount).map { _ in SecretText(Array("key_\(UUID().uuidString)".utf8)) }
        _ = try await issuer.importKeys(
            foreign.map { ImportLine(key: $0, request: KeyRequest(owner: "migrated", expiresInSeconds: 86_400)) })
        for name in ["warm", "cold", "bare", Self.writtenByLMDB] {
            try DurableDirectory.create(path: root.path + "/" + name)
            try Self.backup(source, to: root.path + "/\(name)/data.mdb")
        }
        issuing = issuer
        warm = try CredentialStore.open(in: root.path + "/warm", peppers: peppers, options: options)
        cold = try CredentialStore.open(
            in: root.path + "/cold", peppers: peppers,
            options: StoreOptions(mapBytes: mapBytes, cacheBytes: RecordCache.bytesMin))
        try warm.completeFilter()
        bare = try BareTable(directory: root.path + "/bare")
        keys = PresentedTexts(living.map { $0.secret.revealBytes() })
        ids = living.map(\.summary.id.rawValue)
        revoked = PresentedTexts(ending.map { $0.secret.revealBytes() })
        imported = PresentedTexts(foreign.map { $0.revealBytes() })
        forged = PresentedTexts(
            living.map { CredentialFormat.mint(kind: .apiKey, id: $0.summary.id, vendor: .iiniit).revealBytes() })
        unknown = PresentedTexts(
            (0..<keyCount).map { _ in
                CredentialFormat.mint(kind: .apiKey, id: .random(), vendor: .iiniit).revealBytes()
            })
    }

    /// Closes everything and takes the folders away.
    public func close() {
        for store in [warm, cold, issuing.store] + nodes { store.close() }
        try? FileManager.default.removeItem(at: root)
    }

    /// What `serve` does beside its work when it starts.
    private static func backup(_ store: CredentialStore, to path: String) throws {
        try store.backup(toFile: path)
    }
}

extension CredentialStore {
    /// What `serve` does beside its work when it starts.
    func completeFilter() throws {
        var next: CredentialID?
        while let last = try indexIDs(after: next) { next = last }
    }
}

/// Why there is nothing to measure.
public struct MeasuringFault: Error, CustomStringConvertible {
    public let description: String

    public init(_ description: String) {
        self.description = description
    }
}

/// Credentials as they are presented, one behind the other: read in order, so that what is measured is the look-up of
/// random ids and not that of their texts.
public struct PresentedTexts: Sendable {
    let bytes: [UInt8]
    /// Bytes of each.
    let stride: Int
    public let count: Int

    /// The first `count` of them.
    func first(_ count: Int) -> PresentedTexts {
        PresentedTexts((0..<min(count, self.count)).map { Array(bytes[$0 * stride..<($0 + 1) * stride]) })
    }

    init(bytes: [UInt8], stride: Int, count: Int) {
        self.bytes = bytes
        self.stride = stride
        self.count = count
    }

    init(_ texts: [[UInt8]]) {
        bytes = Array(texts.joined())
        count = texts.count
        stride = count == 0 ? 0 : bytes.count / count
    }
}
