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
        .library(name: "Verification", targets: ["Verification"])
    ],
    dependencies: [
        // Event loops and buffers of the data plane; 2.101.2 is the first with header limits in its HTTP/1 decoder.
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        // TLS for the https listeners.
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        // Start, signals and graceful end of all parts in one order.
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        // Structured logs with a replaceable back end.
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: [
        .target(name: "CPlatform"),
        .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CLMDB", pkgConfig: "lmdb", providers: [.apt(["liblmdb-dev"])]),
        .target(name: "CredentialModel", swiftSettings: strict + [.enableExperimentalFeature("Lifetimes")]),
        .target(name: "LMDB", dependencies: ["CLMDB"], swiftSettings: strict),
        .target(name: "CredentialDigest", dependencies: ["CredentialModel", "COpenSSL", "CPlatform"], swiftSettings: strict),
        .target(name: "RecordCache", dependencies: ["CredentialModel", "CPlatform"], swiftSettings: strict),
        .target(
            name: "CredentialStore", dependencies: ["CredentialModel", "CredentialDigest", "RecordCache", "LMDB", "CPlatform"],
            swiftSettings: strict),
        .target(
            name: "Verification",
            dependencies: ["CredentialModel", "CredentialDigest", "RecordCache", "CredentialStore"], swiftSettings: strict),
        .target(
            name: "Issuance",
            dependencies: ["CredentialModel", "CredentialDigest", "RecordCache", "CredentialStore", "LMDB"],
            swiftSettings: strict),
        .target(name: "HTTPWire", swiftSettings: strict + [.enableExperimentalFeature("Lifetimes")]),
        .target(
            name: "Listening", dependencies: [.product(name: "NIOSSL", package: "swift-nio-ssl")], swiftSettings: strict),
        .target(
            name: "DataPlane",
            dependencies: [
                "CredentialModel", "CredentialDigest", "RecordCache", "CredentialStore", "Verification", "HTTPWire",
                "Listening",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "NIOTLS", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),
        // A process that the LMDB tests may kill.
        .executableTarget(name: "LMDBReaderProbe", dependencies: ["LMDB"], swiftSettings: strict),
        .testTarget(name: "LMDBTests", dependencies: ["LMDB", "CLMDB", "LMDBReaderProbe"]),
    ],
    swiftLanguageModes: [.v6]
)
