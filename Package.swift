// swift-tools-version: 6.2
import PackageDescription

/// Every target: unsafe constructs must be marked, and nothing may warn.
let strict: [SwiftSetting] = [
    .strictMemorySafety(), .treatAllWarnings(as: .error), .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("MemberImportVisibility"),
]

/// Administration speaks Foundation's language; the import rules of the core would only add noise there.
let administration: [SwiftSetting] = [
    .strictMemorySafety(), .treatAllWarnings(as: .error), .enableUpcomingFeature("InternalImportsByDefault"),
]

/// Tests may use Foundation and pointers freely; warnings are errors there too.
let tests: [SwiftSetting] = [.treatAllWarnings(as: .error)]

/// A debug build is the proofs' build too: there, PROOF_BREAKS takes a guarantee away (Sources/CMachine/ProofSwitches.c).
let proofSwitches: SwiftSetting = .define("COUNTERSIGN_PROOF", .when(configuration: .debug))

let core: [Target.Dependency] = [
    "CredentialModel", "CredentialDigest", "RecordCache", "LMDB", "CredentialStore", "Verification", "Issuance",
]

let package = Package(
    name: "countersign",
    products: [
        // With the modules that its API is written in.
        .library(
            name: "Verification",
            targets: [
                "Verification", "CredentialStore", "RecordCache", "CredentialDigest", "CredentialModel",
                "NetworkAddress",
            ]),
        // For services that ask over a socket or a network; the second brings Hummingbird along.
        .library(name: "CountersignClient", targets: ["CountersignClient"]),
        .library(name: "CountersignHummingbird", targets: ["CountersignHummingbird"]),
        // For Benchmarks/ only, which measures the parts one by one: an embedding program takes Verification, which
        // cannot mint.
        .library(
            name: "_Measured",
            targets: [
                "CredentialModel", "CredentialDigest", "RecordCache", "CredentialStore", "Verification", "Issuance",
                "LMDB",
                "AllocationCount",
            ]),
        .executable(name: "countersign", targets: ["countersign"]),
    ],
    dependencies: [
        // Event loops and buffers of the data plane; 2.101.2 is the first with header limits in its HTTP/1 decoder.
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        // TLS for the https listeners.
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        // Frames, streams and compressed heads of HTTP/2, for gRPC.
        .package(url: "https://github.com/apple/swift-nio-http2", from: "1.46.0"),
        // The channel types that Hummingbird's handlers are written in.
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
        // HTTP server of the control plane: routing and body streaming are off the hot path.
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        // Names of methods, statuses and fields that Hummingbird's API is written in.
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        // Command line: subcommands, help pages and shell completions.
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        // HTTP client of the command line and of the client library, since it speaks to Unix sockets; and of a node that hands
        // changes on.
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        // Keyed hash by which the client library's cache finds answers: services that link it have no libcrypto of ours.
        .package(url: "https://github.com/apple/swift-crypto", "3.12.3"..<"5.0.0"),
        // Settings from flags, environment and a file, in one order of precedence.
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: [.defaults, "YAML"]),
        // Names and types of all entries of a settings file, so that a mistyped one is refused and not passed over.
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        // Start, signals and graceful end of all parts in one order.
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        // Structured logs with a replaceable back end.
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        // What parts and packages report of themselves; Exposition is the back end, which Prometheus scrapes.
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        // The client of etcd, and what nodes ask one another; in tests, a client and messages of gRPC that we did not write, which must understand what
        // we did.
        .package(url: "https://github.com/grpc/grpc-swift-2", from: "2.4.3"),
        .package(url: "https://github.com/grpc/grpc-swift-nio-transport", from: "2.9.2"),
        .package(url: "https://github.com/grpc/grpc-swift-protobuf", from: "2.4.1"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
    ],
    targets: [
        // MARK: System libraries and what Swift cannot say without a pointer
        // Not CSystem: swift-system, which SwiftNIO brings along, has a target of that name.
        .target(name: "CMachine", cSettings: [.define("COUNTERSIGN_PROOF", .when(configuration: .debug))]),
        // Pages and the OpenAPI document as files, which become part of the program; see its header.
        .target(name: "CEmbeddedFiles", exclude: ["AdministrationPage", "OpenAPI", "SignIn"]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CLMDB", pkgConfig: "lmdb", providers: [.apt(["liblmdb-dev"])]),

        // MARK: The core: none of it imports Foundation or SwiftNIO
        // IP addresses, CIDR blocks, URLs and their encodings: shared with the client library, so it depends on nothing.
        .target(name: "NetworkAddress", swiftSettings: strict + [.enableExperimentalFeature("Lifetimes")]),
        .target(
            name: "CredentialModel", dependencies: ["CMachine", "NetworkAddress"],
            swiftSettings: strict + [.enableExperimentalFeature("Lifetimes")]),
        .target(name: "LMDB", dependencies: ["CLMDB", "CMachine"], swiftSettings: strict),
        .target(
            name: "CredentialDigest", dependencies: ["CredentialModel", "COpenSSL", "CMachine"], swiftSettings: strict),
        .target(
            name: "RecordCache", dependencies: ["CredentialModel", "CMachine"],
            swiftSettings: strict + [.enableExperimentalFeature("Lifetimes"), proofSwitches]),
        .target(
            name: "CredentialStore",
            dependencies: ["CredentialModel", "CredentialDigest", "RecordCache", "LMDB", "CMachine"],
            swiftSettings: strict + [proofSwitches]),
        .target(
            name: "Verification",
            dependencies: ["CredentialModel", "CredentialDigest", "RecordCache", "CredentialStore"],
            swiftSettings: strict),
        // Many nodes with one log: what each does is a state machine, apart from the engine that holds the log.
        .target(
            name: "Cluster", dependencies: ["CredentialStore", "CMachine"], swiftSettings: strict + [proofSwitches]),
        // The log on etcd. Generated is made from Protos by protoc with the plugins of the packages below, and committed:
        // building the plugins takes longer than everything else.
        .target(
            name: "EtcdEngine",
            dependencies: [
                "Cluster", "CredentialStore", "NetworkAddress",
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport"),
                .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP2", package: "swift-nio-http2"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ],
            exclude: ["Protos"], swiftSettings: administration),
        // What nodes ask one another directly: a copy of the store, for one that begins with nothing.
        .target(
            name: "FleetPeers",
            dependencies: [
                "CredentialDigest", "CredentialModel", "NetworkAddress",
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport"),
                .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ],
            exclude: ["Protos"], swiftSettings: administration),
        .target(
            name: "Issuance",
            dependencies: ["CredentialModel", "CredentialDigest", "RecordCache", "CredentialStore", "LMDB"],
            swiftSettings: strict),
        .target(
            name: "HTTPWire", dependencies: ["CMachine", "NetworkAddress"],
            swiftSettings: strict + [.enableExperimentalFeature("Lifetimes")]),

        // What judges a request, for the daemon and for gateways. This and all that it needs, and RecordCache, also compile as
        // Embedded Swift (deploy/proofs/embedded).
        .target(
            name: "ForwardAuth", dependencies: ["CredentialModel", "HTTPWire"],
            swiftSettings: strict + [.enableExperimentalFeature("Lifetimes")]),

        // MARK: The service
        .target(
            name: "Listening",
            dependencies: [
                "NetworkAddress",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            swiftSettings: strict),
        .target(name: "EnvoyAuthorization", dependencies: ["CredentialModel", "HTTPWire"], swiftSettings: strict),
        .target(
            name: "DataPlane",
            dependencies: [
                "CredentialModel", "CredentialDigest", "RecordCache", "CredentialStore", "Verification", "HTTPWire",
                "ForwardAuth", "EnvoyAuthorization", "Listening", "CMachine",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHPACK", package: "swift-nio-http2"),
                .product(name: "NIOHTTP2", package: "swift-nio-http2"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "NIOTLS", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict + [.enableExperimentalFeature("Lifetimes")]),
        .target(
            name: "Exposition", dependencies: [.product(name: "CoreMetrics", package: "swift-metrics")],
            swiftSettings: strict),
        .target(name: "AdministrationAPI", dependencies: ["CredentialModel"], swiftSettings: administration),
        .target(
            name: "ControlPlane",
            dependencies: [
                "AdministrationAPI", "CEmbeddedFiles", "CredentialModel", "CredentialDigest", "CredentialStore",
                "Issuance", "Verification", "Listening", "NetworkAddress", "RecordCache", "HTTPWire",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: administration),
        .executableTarget(
            name: "countersign",
            dependencies: [
                "AdministrationAPI", "Cluster", "ControlPlane", "DataPlane", "EtcdEngine", "Exposition", "FleetPeers",
                "ForwardAuth", "Issuance", "Verification", "CredentialStore",
                "CredentialDigest", "CredentialModel", "Listening", "LMDB", "CMachine", "NetworkAddress", "RecordCache",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "Yams", package: "Yams"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            swiftSettings: administration),

        // MARK: For other services: nothing of the above but NetworkAddress
        .target(
            name: "CountersignClient",
            dependencies: [
                "NetworkAddress",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: administration),
        .target(
            name: "CountersignHummingbird",
            dependencies: [
                "CountersignClient", "NetworkAddress",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            swiftSettings: administration),

        // The example, which is a package of its own, once more: built with the rest, it stays right.
        .executableTarget(
            name: "OrdersExample",
            dependencies: [
                "CountersignClient", "CountersignHummingbird",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            path: "deploy/examples/orders/Sources/Orders", swiftSettings: administration),

        // MARK: Proofs and tests
        // Races between threads and between processes (deploy/proofs/races), size and speed of a store over time
        // (churn), timing leaks in comparisons (timing), a fleet in virtual time (fleet); and the broken variants that
        // each of them must catch.
        .executableTarget(
            name: "Proofs", dependencies: core + ["Cluster", "CMachine", "ProofSupport"], path: "Tests/Proofs/Proofs",
            swiftSettings: strict),
        // What the log of a fleet costs (deploy/proofs/fleet-figures).
        .executableTarget(
            name: "FleetFigures", dependencies: core + ["AdministrationAPI", "Cluster", "EtcdEngine"],
            path: "Tests/Proofs/FleetFigures", swiftSettings: tests),
        // Command lines, threads, seeded random numbers and folders, for proofs and tests.
        .target(name: "ProofSupport", path: "Tests/Proofs/ProofSupport", swiftSettings: strict),
        // A process that the LMDB tests kill.
        .executableTarget(
            name: "LMDBReaderProbe", dependencies: ["LMDB"], path: "Tests/LMDBReaderProbe", swiftSettings: strict),
        .target(name: "AllocationCount", path: "Tests/AllocationCount"),
        .target(name: "CChildProcess", path: "Tests/CChildProcess"),
        .target(
            name: "ChildProcess", dependencies: ["CChildProcess"], path: "Tests/ChildProcess", swiftSettings: tests),
        .testTarget(
            name: "LMDBTests", dependencies: ["LMDB", "CLMDB", "LMDBReaderProbe", "ChildProcess"], swiftSettings: tests),
        .target(
            name: "TestSupport",
            dependencies: core, path: "Tests/TestSupport", swiftSettings: tests),
        .testTarget(name: "NetworkAddressTests", dependencies: ["NetworkAddress"], swiftSettings: tests),
        .testTarget(name: "CredentialModelTests", dependencies: ["CredentialModel"], swiftSettings: tests),
        .testTarget(
            name: "CredentialDigestTests", dependencies: ["CredentialDigest", "CredentialModel", "ChildProcess"],
            swiftSettings: tests),
        .testTarget(
            name: "RecordCacheTests", dependencies: ["RecordCache", "CredentialModel", "ProofSupport"],
            swiftSettings: tests),
        .testTarget(name: "CredentialStoreTests", dependencies: core + ["TestSupport"], swiftSettings: tests),
        .testTarget(
            name: "VerificationTests",
            dependencies: core + ["AllocationCount", "ChildProcess", "Proofs", "TestSupport"],
            swiftSettings: tests),
        .testTarget(name: "ClusterTests", dependencies: ["Cluster", "CredentialStore"], swiftSettings: tests),
        // Whole nodes on a real etcd.
        .testTarget(
            name: "FleetTests",
            dependencies: core + [
                "ChildProcess", "Cluster", "EtcdEngine", "FleetPeers", "TestSupport",
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOEmbedded", package: "swift-nio"),
            ],
            swiftSettings: tests),
        .testTarget(name: "IssuanceTests", dependencies: core + ["TestSupport"], swiftSettings: tests),
        // The wire parsers against SwiftNIO's, and properties of them that libFuzzer checks too (deploy/proofs/fuzz-wire).
        .executableTarget(
            name: "WireProofs",
            dependencies: [
                "CredentialModel", "EnvoyAuthorization", "HTTPWire", "ProofSupport",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ],
            path: "Tests/Proofs/WireProofs", swiftSettings: administration),
        .testTarget(
            name: "HTTPWireTests",
            dependencies: ["HTTPWire", "WireProofs", "ProofSupport", "AllocationCount"],
            swiftSettings: tests),
        .testTarget(
            name: "ListeningTests",
            dependencies: [
                "Listening",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: tests),
        .testTarget(
            name: "DataPlaneTests",
            dependencies: [
                "ControlPlane", "DataPlane", "EnvoyAuthorizationMessages", "ForwardAuth", "Listening", "TestSupport",
                "Issuance",
                "AllocationCount",
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHPACK", package: "swift-nio-http2"),
                .product(name: "NIOHTTP2", package: "swift-nio-http2"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ],
            swiftSettings: tests),
        .target(
            name: "EnvoyAuthorizationMessages",
            dependencies: [
                .product(name: "GRPCCore", package: "grpc-swift-2"),
                .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf"),
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ],
            path: "Tests/EnvoyAuthorizationMessages", exclude: ["Protos"]),
        .testTarget(
            name: "EnvoyAuthorizationTests",
            dependencies: [
                "CredentialModel", "EnvoyAuthorization", "EnvoyAuthorizationMessages", "HTTPWire",
                .product(name: "SwiftProtobuf", package: "swift-protobuf"),
            ],
            swiftSettings: tests),
        .testTarget(
            name: "CountersignClientTests",
            dependencies: [
                "ChildProcess", "CountersignClient", "CountersignHummingbird", "DataPlane", "Listening", "Issuance",
                "CredentialStore",
                "CredentialModel", "TestSupport",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdTesting", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: tests),
        .testTarget(
            name: "AdministrationAPITests", dependencies: ["AdministrationAPI", "CredentialModel"], swiftSettings: tests
        ),
        .target(
            name: "ControlPlaneFixture",
            dependencies: [
                "ControlPlane", "CredentialModel", "Issuance", "Listening", "TestSupport",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            path: "Tests/ControlPlaneFixture", swiftSettings: tests),
        .testTarget(
            name: "ExpositionTests",
            dependencies: ["Exposition", .product(name: "CoreMetrics", package: "swift-metrics")], swiftSettings: tests),
        .testTarget(
            name: "ControlPlaneTests",
            dependencies: [
                "AdministrationAPI", "ControlPlane", "ControlPlaneFixture", "CredentialDigest", "CredentialModel",
                "DataPlane", "HTTPWire", "Issuance", "TestSupport",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
            ],
            swiftSettings: tests),
        .testTarget(
            name: "CountersignCommandTests",
            dependencies: [
                "AdministrationAPI", "ChildProcess", "Cluster", "ControlPlaneFixture", "CredentialModel",
                "CredentialStore",
                "EtcdEngine", "Issuance",
                "LMDB", "Listening", "countersign", "TestSupport",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            swiftSettings: tests),
    ],
    swiftLanguageModes: [.v6]
)
