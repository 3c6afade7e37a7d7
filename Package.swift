// swift-tools-version: 6.2
import PackageDescription

/// Swift 6 language mode is implied by the tools version; a warning is an error in our own code.
let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .treatAllWarnings(as: .error),
]

let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")

let package = Package(
    name: "tailrace",
    products: [
        .executable(name: "tailrace", targets: ["tailrace"]),
        .library(name: "AMQP", targets: ["AMQP"]),
        .library(name: "EventHubs", targets: ["EventHubs"]),
        .library(name: "Pulsar", targets: ["Pulsar"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // C: the system's OpenSSL and zlib, and what Swift's Glibc module leaves out.
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .target(name: "CTailrace"),

        // Protocols.
        .target(name: "OpenSSLTransport", dependencies: ["COpenSSL", nioCore], swiftSettings: strict),
        .target(
            name: "AMQP",
            dependencies: [nioCore, logging, .product(name: "DequeModule", package: "swift-collections")],
            swiftSettings: strict),
        .target(
            name: "Transports", dependencies: ["OpenSSLTransport", nioCore, nioPosix, nioHTTP1], swiftSettings: strict),
        .target(name: "Producing", dependencies: [nioCore, logging], swiftSettings: strict),
        .target(
            name: "EventHubs",
            dependencies: [
                "AMQP", "CTailrace", "Producing", "Transports", "OpenSSLTransport", nioCore, nioPosix, logging,
            ],
            swiftSettings: strict),
        .target(
            name: "Pulsar",
            dependencies: [
                "CZlib", "CTailrace", "Producing", "Transports", "OpenSSLTransport", nioCore, nioPosix, logging,
            ],
            swiftSettings: strict),
        .target(
            name: "LocalHub",
            dependencies: [
                "AMQP", "EventHubs", "Transports", "OpenSSLTransport", "TailraceSpool", nioCore, nioPosix, logging,
            ],
            swiftSettings: strict),

        // The agent.
        .target(name: "TailraceSpool", dependencies: ["CTailrace", logging], swiftSettings: strict),
        .target(
            name: "TailraceInputs",
            dependencies: ["CTailrace", "CZlib", "TailraceSpool", "OpenSSLTransport", nioCore, nioPosix, logging],
            swiftSettings: strict),
        .target(
            name: "TailraceDelivery", dependencies: ["CTailrace", "Producing", "TailraceSpool", logging],
            swiftSettings: strict),
        .target(
            name: "TailraceAgent",
            dependencies: [
                "TailraceInputs", "TailraceDelivery", "TailraceSpool", "EventHubs", "Pulsar", "Transports",
                "OpenSSLTransport", "CTailrace",
                nioCore, nioPosix, logging, nioHTTP1,
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "tailrace",
            dependencies: [
                "TailraceAgent", "TailraceInputs", "TailraceDelivery", "TailraceSpool", "EventHubs", "Pulsar",
                "LocalHub",
                "OpenSSLTransport", "CTailrace",
                nioPosix, logging,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: strict),

        // Senders for benchmarks and memory tests; not shipped.
        .target(name: "LoadSupport", path: "Tests/LoadSupport", swiftSettings: strict),
        // How benchmarks tell what they measured; shared with the package of the benchmarks.
        .target(name: "Measurements", path: "Benchmarks/Sources/Measurements", swiftSettings: strict),
        // Reads what a hub has: for tests and loads; not shipped.
        .target(
            name: "HubReading", dependencies: ["AMQP", "OpenSSLTransport", nioCore, nioPosix],
            path: "Tests/HubReading", swiftSettings: strict),
        .executableTarget(
            name: "event-load", dependencies: ["EventHubs", "HubReading", "LoadSupport", nioCore],
            path: "Tests/event-load", swiftSettings: strict),
        .executableTarget(
            name: "pulsar-load", dependencies: ["Pulsar", "LoadSupport", nioCore], path: "Tests/pulsar-load",
            swiftSettings: strict),
        // The stages of the agent's work alone, for benchmarks and for the guard of their cost; not shipped.
        .executableTarget(
            name: "stage-load",
            dependencies: [
                "TailraceAgent", "TailraceInputs", "TailraceDelivery", "TailraceSpool", "EventHubs", "Pulsar",
                "OpenSSLTransport", "CZlib", "LoadSupport", "Measurements", nioCore, nioEmbedded, logging,
            ],
            path: "Tests/stage-load", swiftSettings: strict),

        // A Pulsar broker for tests, in the test's process or in one of its own; not shipped.
        .target(
            name: "PulsarBroker", dependencies: ["Pulsar", "OpenSSLTransport", nioCore, nioPosix, logging],
            path: "Tests/PulsarBroker", swiftSettings: strict),
        .executableTarget(
            name: "pulsar-broker", dependencies: ["PulsarBroker", "Pulsar", nioCore], path: "Tests/pulsar-broker",
            swiftSettings: strict),

        // A spool and a drain on a simulated disk, clock and service, and a command for long runs; not shipped.
        .target(
            name: "World",
            dependencies: [
                "TailraceAgent", "TailraceDelivery", "TailraceSpool", "Producing", "LocalHub", "EventHubs", "AMQP",
                "Pulsar", "PulsarBroker", "Transports", "TestSupport", nioCore, logging,
            ],
            path: "Tests/World", swiftSettings: strict),
        .executableTarget(name: "worlds", dependencies: ["World"], path: "Tests/worlds", swiftSettings: strict),

        // Tests: one folder per target, then the real peers and the crashes.
        .target(
            name: "TestSupport", dependencies: [nioCore, nioPosix], path: "Tests/TestSupport", swiftSettings: strict),
        .testTarget(name: "AMQPTests", dependencies: ["AMQP", "TestSupport", nioEmbedded], swiftSettings: strict),
        .testTarget(
            name: "OpenSSLTransportTests",
            dependencies: ["OpenSSLTransport", "TestSupport", nioPosix, nioEmbedded], swiftSettings: strict),
        .testTarget(
            name: "TransportsTests",
            dependencies: ["Transports", "OpenSSLTransport", "TestSupport", nioPosix, nioEmbedded],
            swiftSettings: strict),
        .testTarget(name: "ProducingTests", dependencies: ["Producing", "TestSupport"], swiftSettings: strict),
        .testTarget(
            name: "EventHubsTests",
            dependencies: ["EventHubs", "LocalHub", "Transports", "OpenSSLTransport", "COpenSSL", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "PulsarTests",
            dependencies: [
                "Pulsar", "PulsarBroker", "Transports", "OpenSSLTransport", "COpenSSL", "Producing", "TestSupport",
                nioCore, nioPosix, nioEmbedded,
            ],
            exclude: ["Recorded"], swiftSettings: strict),
        .testTarget(
            name: "LocalHubTests",
            dependencies: ["LocalHub", "EventHubs", "Transports", "OpenSSLTransport", "TestSupport"],
            swiftSettings: strict),
        .testTarget(
            name: "TailraceSpoolTests", dependencies: ["TailraceSpool", "CTailrace", "TestSupport"],
            exclude: ["Golden"], swiftSettings: strict),
        .testTarget(
            name: "TailraceInputsTests", dependencies: ["TailraceInputs", "TestSupport"], exclude: ["Python"],
            swiftSettings: strict),
        .testTarget(
            name: "TailraceDeliveryTests", dependencies: ["TailraceDelivery", "TestSupport"], swiftSettings: strict),
        .testTarget(
            name: "TailraceAgentTests",
            dependencies: [
                "TailraceAgent", "TailraceInputs", "TailraceDelivery", "TailraceSpool", "AMQP", "Pulsar",
                "PulsarBroker",
                "OpenSSLTransport", "TestSupport", nioCore, nioPosix,
            ],
            swiftSettings: strict),
        .testTarget(
            name: "IntegrationTests",
            dependencies: [
                "tailrace", "pulsar-broker", "PulsarBroker", "TailraceAgent", "LocalHub", "EventHubs", "Pulsar",
                "Transports", "HubReading", "TestSupport", nioCore,
            ],
            exclude: ["Python"], swiftSettings: strict),
        .testTarget(
            name: "PeerTests",
            dependencies: ["AMQP", "OpenSSLTransport", "LocalHub", "TestSupport", nioCore, nioPosix, logging],
            exclude: ["Python"], swiftSettings: strict),
        .testTarget(
            name: "CrashTests",
            dependencies: [
                "tailrace", "TailraceAgent", "TailraceInputs", "TailraceSpool", "LocalHub", "AMQP", "PulsarBroker",
                "pulsar-broker", "TestSupport", "World", logging,
            ],
            swiftSettings: strict),
    ]
)
