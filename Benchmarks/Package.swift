// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]

/// A package of its own, so that nobody who uses Tailrace resolves or builds it.
let package = Package(
    name: "Benchmarks",
    targets: [
        // How they tell what they measured; the loads of the tests use it too.
        .target(name: "Measurements", swiftSettings: strict),
        .target(name: "Measuring", dependencies: ["Measurements"], swiftSettings: strict),
        .executableTarget(name: "table", dependencies: ["Measuring", "Measurements"], swiftSettings: strict),
        .executableTarget(name: "throughput", dependencies: ["Measuring", "Measurements"], swiftSettings: strict),
        .executableTarget(name: "produce", dependencies: ["Measuring", "Measurements"], swiftSettings: strict),
        .executableTarget(name: "produce-pulsar", dependencies: ["Measuring", "Measurements"], swiftSettings: strict),
        .executableTarget(name: "udp", dependencies: ["Measuring", "Measurements"], swiftSettings: strict),
        .executableTarget(name: "recovery", dependencies: ["Measuring", "Measurements"], swiftSettings: strict),
        .executableTarget(name: "curves", dependencies: ["Measuring", "Measurements"], swiftSettings: strict),
        .executableTarget(name: "backlog", dependencies: ["Measuring", "Measurements"], swiftSettings: strict),
        .executableTarget(name: "latency", dependencies: ["Measuring", "Measurements"], swiftSettings: strict),
        .executableTarget(name: "idle", dependencies: ["Measuring", "Measurements"], swiftSettings: strict),
    ]
)
