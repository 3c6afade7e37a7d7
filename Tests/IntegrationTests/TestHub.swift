import LocalHub
import Logging
import TestSupport

extension LocalHub {
    /// A hub that runs, with two partitions. Hubs of one directory share an authority, `certificates/ca.pem` in it.
    ///
    /// - Parameters:
    ///   - store: where its partitions are kept; nil: they go with it.
    ///   - port: 0: any free one.
    ///   - key: nil: that of the service's emulator.
    ///   - change: what else is to be different.
    static func started(
        in directory: TemporaryDirectory, store: String? = "store", port: Int = 0, key: String? = nil,
        partitions: Int = 2, change: (inout LocalHubConfiguration) -> Void = { _ in }
    ) async throws -> LocalHub {
        var configuration = LocalHubConfiguration()
        configuration.port = port
        configuration.partitionCount = partitions
        if let key { configuration.sharedAccessKey = key }
        configuration.storeDirectory = store.map { directory($0) }
        configuration.certificateDirectory = directory("certificates")
        change(&configuration)
        let hub = try LocalHub(
            configuration, logger: Logger(label: "hub") { _ in SwiftLogNoOpLogHandler() })
        _ = try await hub.start()
        return hub
    }

    /// What an output of the agent needs to get there.
    func output(_ directory: TemporaryDirectory) -> String {
        "connection_string = \"\(connectionString)\"\nca_file = \"\(directory("certificates/ca.pem"))\""
    }
}
