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
        // Shows each path by name with percentiles, and compares with baselines. Its interposers are left out: PathRatios
        // counts allocations itself.
        .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
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
        .executableTarget(
            name: "PathRatios",
            dependencies: ["MeasuredPaths", .product(name: "_Measured", package: "countersign")],
            path: "Benchmarks/PathRatios",
            swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)
