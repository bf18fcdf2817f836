// swift-tools-version: 6.2
import PackageDescription

let package = Package(
    name: "orders",
    dependencies: [
        .package(name: "countersign", path: "../../.."),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        .executableTarget(
            name: "Orders",
            dependencies: [
                .product(name: "CountersignClient", package: "countersign"),
                .product(name: "CountersignHummingbird", package: "countersign"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ])
    ],
    swiftLanguageModes: [.v6]
)
