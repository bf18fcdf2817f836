// swift-tools-version: 6.2
import PackageDescription

/// Every target: unsafe constructs must be marked, and nothing may warn.
let strict: [SwiftSetting] = [
    .strictMemorySafety(), .treatAllWarnings(as: .error), .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
    name: "countersign",
    products: [
        .library(name: "Verification", targets: ["Verification"]),
        // For Benchmarks/ only, which measures the parts one by one: an embedding program takes Verification, which
        // cannot mint.
        .library(
            name: "_Measured",
            targets: [
                "CredentialModel", "CredentialDigest", "RecordCache", "CredentialStore", "Verification", "Issuance", "LMDB",
                "AllocationCount",
            ]),
    ],
    targets: [
        // Not CSystem: swift-system, which SwiftNIO brings along, has a target of that name.
        .target(name: "CMachine"),
        .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CLMDB", pkgConfig: "lmdb", providers: [.apt(["liblmdb-dev"])]),
        .target(name: "CredentialModel", swiftSettings: strict + [.enableExperimentalFeature("Lifetimes")]),
        .target(name: "LMDB", dependencies: ["CLMDB"], swiftSettings: strict),
        .target(name: "CredentialDigest", dependencies: ["CredentialModel", "COpenSSL", "CMachine"], swiftSettings: strict),
        .target(name: "RecordCache", dependencies: ["CredentialModel", "CMachine"], swiftSettings: strict),
        .target(
            name: "CredentialStore", dependencies: ["CredentialModel", "CredentialDigest", "RecordCache", "LMDB", "CMachine"],
            swiftSettings: strict),
        .target(
            name: "Verification",
            dependencies: ["CredentialModel", "CredentialDigest", "RecordCache", "CredentialStore"], swiftSettings: strict),
        .target(
            name: "Issuance",
            dependencies: ["CredentialModel", "CredentialDigest", "RecordCache", "CredentialStore", "LMDB"],
            swiftSettings: strict),
        .target(name: "AllocationCount", path: "Tests/AllocationCount"),
    ],
    swiftLanguageModes: [.v6]
)
