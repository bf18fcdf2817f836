// swift-tools-version: 6.2
import PackageDescription

/// As in the main package.
let strict: [SwiftSetting] = [
    .strictMemorySafety(), .treatAllWarnings(as: .error), .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
    name: "countersign-benchmarks",
    dependencies: [
        .package(name: "countersign", path: ".."),
        // Shows each path by name with percentiles, and holds it against thresholds. Its interposers are left out: what is
        // measured counts its own allocations.
        .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
        // Load: event loop and sockets.
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        // Load: its end of https connections.
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        // Load: flags and help.
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        // Load: percentiles of any number of latencies in constant memory.
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        // What is measured against: LMDB's and libcrypto's own calls.
        .target(name: "BareCalls", linkerSettings: [.linkedLibrary("lmdb"), .linkedLibrary("crypto")]),
        .target(
            name: "MeasuredPaths",
            dependencies: ["BareCalls", .product(name: "_Measured", package: "countersign")], swiftSettings: strict),
        .executableTarget(
            name: "HotPath",
            dependencies: ["MeasuredPaths", .product(name: "Benchmark", package: "benchmark")],
            path: "Benchmarks/HotPath",
            swiftSettings: strict,
            plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]),
        // A function for callgrind to find.
        .target(name: "CountedSection"),
        .executableTarget(
            name: "CountedPaths", dependencies: ["CountedSection", "MeasuredPaths"], path: "Benchmarks/CountedPaths",
            swiftSettings: strict),
        .executableTarget(
            name: "PathRatios",
            dependencies: ["MeasuredPaths", .product(name: "_Measured", package: "countersign")],
            path: "Benchmarks/PathRatios",
            swiftSettings: strict),
        // What of the load generator needs no socket, apart so that its tests build in moments.
        .target(
            name: "LoadParts",
            dependencies: [.product(name: "Histogram", package: "hdrhistogram-swift")],
            path: "Benchmarks/Load/Parts",
            swiftSettings: strict),
        .executableTarget(
            name: "load",
            dependencies: [
                "LoadParts",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOTLS", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Benchmarks/Load/Command",
            swiftSettings: strict),
        .testTarget(name: "LoadTests", dependencies: ["LoadParts"], swiftSettings: [.treatAllWarnings(as: .error)]),
    ],
    swiftLanguageModes: [.v6]
)
