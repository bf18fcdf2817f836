// swift-tools-version: 6.2
import PackageDescription

/// Every target: unsafe constructs must be marked, and nothing may warn.
let strict: [SwiftSetting] = [
    .strictMemorySafety(), .treatAllWarnings(as: .error), .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("MemberImportVisibility"),
]

/// Tests may use Foundation and pointers freely; warnings are errors there too.
let tests: [SwiftSetting] = [.treatAllWarnings(as: .error)]

let core: [Target.Dependency] = [
    "CredentialModel", "CredentialDigest", "RecordCache", "LMDB", "CredentialStore", "Verification", "Issuance",
]

let package = Package(
    name: "countersign",
    products: [
        .library(name: "Verification", targets: ["Verification"])
    ],
    targets: [
        .target(name: "CSystem"),
        .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CLMDB", pkgConfig: "lmdb", providers: [.apt(["liblmdb-dev"])]),
        .target(name: "CredentialModel", swiftSettings: strict + [.enableExperimentalFeature("Lifetimes")]),
        .target(name: "LMDB", dependencies: ["CLMDB"], swiftSettings: strict),
        .target(
            name: "CredentialDigest", dependencies: ["CredentialModel", "COpenSSL", "CSystem"], swiftSettings: strict),
        .target(name: "RecordCache", dependencies: ["CredentialModel", "CSystem"], swiftSettings: strict),
        .target(
            name: "CredentialStore",
            dependencies: ["CredentialModel", "CredentialDigest", "RecordCache", "LMDB", "CSystem"],
            swiftSettings: strict),
        .target(
            name: "Verification",
            dependencies: ["CredentialModel", "CredentialDigest", "RecordCache", "CredentialStore"],
            swiftSettings: strict),
        .target(
            name: "Issuance",
            dependencies: ["CredentialModel", "CredentialDigest", "RecordCache", "CredentialStore", "LMDB"],
            swiftSettings: strict),

        .executableTarget(
            name: "RaceProof", dependencies: core, path: "Sources/Proofs/RaceProof", swiftSettings: strict),

        .target(
            name: "TestSupport",
            dependencies: core, path: "Tests/TestSupport", swiftSettings: tests),
        .testTarget(name: "CredentialModelTests", dependencies: ["CredentialModel"], swiftSettings: tests),
        .testTarget(
            name: "CredentialDigestTests", dependencies: ["CredentialDigest", "CredentialModel"], swiftSettings: tests),
        .testTarget(name: "RecordCacheTests", dependencies: ["RecordCache", "CredentialModel"], swiftSettings: tests),
        .testTarget(name: "CredentialStoreTests", dependencies: core + ["TestSupport"], swiftSettings: tests),
        .testTarget(name: "VerificationTests", dependencies: core + ["TestSupport"], swiftSettings: tests),
        .testTarget(name: "IssuanceTests", dependencies: core + ["TestSupport"], swiftSettings: tests),
    ],
    swiftLanguageModes: [.v6]
)
