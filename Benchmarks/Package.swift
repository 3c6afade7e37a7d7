// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]

/// A package of its own, so that nobody who uses Tailrace resolves or builds it.
let package = Package(
    name: "Benchmarks",
    targets: [
        .target(name: "Measuring", swiftSettings: strict),
        .executableTarget(name: "throughput", dependencies: ["Measuring"], swiftSettings: strict),
        .executableTarget(name: "produce", dependencies: ["Measuring"], swiftSettings: strict),
        .executableTarget(name: "produce-pulsar", dependencies: ["Measuring"], swiftSettings: strict),
        .executableTarget(name: "udp", dependencies: ["Measuring"], swiftSettings: strict),
        .executableTarget(name: "recovery", dependencies: ["Measuring"], swiftSettings: strict),
        .executableTarget(name: "latency", dependencies: ["Measuring"], swiftSettings: strict),
        .executableTarget(name: "idle", dependencies: ["Measuring"], swiftSettings: strict),
    ]
)
