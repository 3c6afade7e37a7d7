import ArgumentParser
import CTailrace
import Glibc
import LocalHub
import Logging
import OpenSSLTransport
import ServiceLifecycle
import TailraceAgent

struct Hub: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs an Event Hubs compatible server on this machine, for trying things out and for tests.",
        discussion: """
            Prints what a client needs, one line each, once it listens: the address, the connection string, and the \
            file with the authority to trust. Ends on SIGTERM or SIGINT.
            """)

    @Option(help: ArgumentHelp("Where to listen; port 0 takes any free one.", valueName: "host:port"))
    var listen = "127.0.0.1:5671"

    @Option(name: .customLong("hub"), help: ArgumentHelp("The event hub's name.", valueName: "name"))
    var hubName = "logs"

    @Option(help: ArgumentHelp("How many partitions it has.", valueName: "n"))
    var partitions = 4

    @Option(help: ArgumentHelp("Keeps the events here; without it they go with the hub.", valueName: "directory"))
    var store: String?

    @Option(
        help: ArgumentHelp("Keeps this much per partition; the oldest events make room.", valueName: "size"),
        transform: { text in
            guard let size = Quantity.size(text), size >= LocalHubConfiguration.minimumPartitionSize else {
                throw ValidationError("\(text) is not a size such as 4GiB, and at least 16MiB")
            }
            return size
        })
    var retention: UInt64 = 4 << 30

    @Flag(help: "Plain TCP without TLS.")
    var plain = false

    @Flag(help: "As a namespace without idempotent publishing: producers cannot number their events.")
    var noIdempotent = false

    @Option(help: ArgumentHelp("The name of the one key that the hub knows.", valueName: "name"))
    var sasName = "RootManageSharedAccessKey"

    @Option(help: ArgumentHelp("The key; without it a new one is made and printed.", valueName: "key"))
    var sasKey: String?

    @Option(help: ArgumentHelp("Keeps the certificates here, so that a new start is trusted.", valueName: "directory"))
    var certificateDirectory: String?

    func validate() throws {
        guard ListenAddress(listen) != nil else {
            throw ValidationError("--listen \(listen) is not HOST:PORT")
        }
        guard (1...LocalHubConfiguration.maximumPartitions).contains(partitions) else {
            throw ValidationError("--partitions is not between 1 and \(LocalHubConfiguration.maximumPartitions)")
        }
        guard !hubName.isEmpty, hubName.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F && $0 != 0x2F && $0 != 0x3B }) else {
            throw ValidationError("--hub is no name of an event hub")
        }
        guard sasKey != "", !(sasKey ?? "").contains(";"), !sasName.isEmpty, !sasName.contains(";") else {
            throw ValidationError("--sas-name and --sas-key are neither empty nor hold a semicolon")
        }
    }

    func run() async throws {
        guard let address = ListenAddress(listen) else { return }
        signal(SIGPIPE, SIG_IGN)
        tailrace_tune_memory()
        var configuration = LocalHubConfiguration()
        configuration.host = address.host
        configuration.port = address.port
        configuration.hubName = hubName
        configuration.partitionCount = partitions
        configuration.storeDirectory = store
        configuration.partitionSize = retention
        configuration.isPlain = plain
        configuration.supportsIdempotentPublishing = !noIdempotent
        configuration.sharedAccessKeyName = sasName
        configuration.sharedAccessKey = sasKey ?? Base64.encode((0..<32).map { _ in UInt8.random(in: 0 ... .max) })
        configuration.certificateDirectory = certificateDirectory
        let shared = StandardErrorLog.Shared()
        let logger = Logger(label: "hub") { StandardErrorLog(label: $0, level: .notice, shared: shared) }
        let hub = try LocalHub(configuration, logger: logger)
        var group = ServiceGroupConfiguration(
            services: [HubService(hub: hub)], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        group.maximumGracefulShutdownDuration = .seconds(10)
        group.maximumCancellationDuration = .seconds(10)
        try await ServiceGroup(configuration: group).run()
    }
}

private struct HubService: Service {
    let hub: LocalHub

    func run() async throws {
        let port = try await hub.start()
        let address = ListenAddress(host: hub.configuration.host, port: port)
        var text = "listening on \(address)\nconnection string: \(hub.connectionString)\n"
        if let file = hub.authorityFile { text += "ca file: \(file)\n" }
        Tailrace.write(Array(text.utf8))
        try? await gracefulShutdown()
        await hub.stop()
    }
}
