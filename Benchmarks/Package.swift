// swift-tools-version: 6.2
import PackageDescription

/// A package of its own, so that nobody who uses Tailrace resolves or builds it.
let package = Package(
    name: "Benchmarks",
    targets: [
        .executableTarget(name: "throughput", swiftSettings: [.treatAllWarnings(as: .error)])
    ]
)
