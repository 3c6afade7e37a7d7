package import EventHubs
package import TailraceDelivery

/// What the agent is to do: a valid configuration. `ConfigurationLoader` makes it.
package struct AgentConfiguration: Equatable, Sendable {
    /// Where it was read from.
    package var file: String
    /// Files of `conf.d` that it was made of too, in their order.
    package var dropIns: [String] = []
    /// Spool, ledgers, lock and control socket.
    package var stateDirectory = "/var/lib/tailrace"
    /// Put on every record: the configured name, or this machine's.
    package var host = ""
    package var metrics: ListenAddress?
    package var spool = SpoolSettings()
    package var inputs: [InputSettings] = []
    package var outputs: [OutputSettings] = []
    /// Nothing that stops the agent, but somebody should know.
    package var warnings: [ConfigurationProblem] = []
    /// Of the files that it names and that are read when its parts are made, by their paths.
    package var marks: [String: FileMark] = [:]

    package init(file: String) { self.file = file }

    package var places: AgentPlaces { AgentPlaces(stateDirectory: stateDirectory) }
}

package struct SpoolSettings: Equatable, Sendable {
    package enum Sync: Equatable, Sendable {
        /// Every group of appended batches is synced before its positions count.
        case always
        /// At most this long between two syncs.
        case interval(Duration)
        /// Never by us: a power cut may cost what the kernel has not written yet.
        case never
    }

    package static let defaultMaximumSize: UInt64 = 10 << 30
    /// Four segments of the least size that still groups well.
    package static let sizes: ClosedRange<UInt64> = (16 << 20)...(1 << 50)

    /// Bytes on disk.
    package var maximumSize = Self.defaultMaximumSize
    /// Bytes that the spool leaves free on its file system. Nil: 256 MiB, but of a small one a twentieth.
    package var minimumFree: UInt64?
    package var sync = Sync.always
}

/// `[output.NAME]`, by its type.
package enum OutputSettings: Equatable, Sendable {
    case eventHubs(EventHubsOutputSettings)
    case pulsar(PulsarOutputSettings)

    package var name: String {
        switch self {
        case .eventHubs(let settings): settings.name
        case .pulsar(let settings): settings.name
        }
    }

    /// What routes a record to its partition.
    package var key: RoutingKey {
        switch self {
        case .eventHubs(let settings): settings.key
        case .pulsar(let settings): settings.key
        }
    }

    /// How often the service is asked whether it has more partitions.
    package var partitionCheck: Duration {
        switch self {
        case .eventHubs(let settings): settings.partitionCheck
        case .pulsar(let settings): settings.partitionCheck
        }
    }

    package static let defaultPartitionCheck = Duration.seconds(60)
    package static let partitionChecks: ClosedRange<Duration> = .seconds(1)...(.seconds(86_400))
}

/// `[output.NAME]` of type "eventhubs".
package struct EventHubsOutputSettings: Equatable, Sendable {
    /// Whether events are numbered, so that none is stored twice.
    package enum Idempotent: String, Equatable, Sendable, CaseIterable {
        /// Where the namespace supports it.
        case auto
        /// Nothing is sent where it does not.
        case always
        case never
    }

    package var name: String
    /// This or an identity; neither only in a configuration with problems, which nobody gets.
    package var connectionString: Secret<EventHubsConnectionString>?
    package var identity: EntraIdentity?
    /// The hub's name, from EntityPath or from the key of its own.
    package var eventHub = ""
    /// PEM file of the authorities to trust; nil is the system's store.
    package var caFile: String?
    package var transport = EventHubsOptions.Transport.amqp
    package var proxy: EventHubsProxy?
    /// `HOST` or `HOST:PORT` to connect to in the namespace's place.
    package var customEndpoint: String?
    package var idempotent = Idempotent.auto
    package var key = RoutingKey.host
    package var partitionCheck = OutputSettings.defaultPartitionCheck

    package init(name: String, connectionString: Secret<EventHubsConnectionString>?) {
        self.name = name
        self.connectionString = connectionString
    }

    /// Where the hub is, and how to get in.
    ///
    /// - Throws: what is wrong with the settings, such as a CA file that is none.
    package func endpoint() throws(EventHubsError) -> EventHubEndpoint {
        if let identity {
            return try EventHubEndpoint(
                namespace: identity.namespace, eventHubName: eventHub, credential: identity.credential(proxy: proxy),
                options: connecting)
        }
        guard let string = connectionString?.reveal() else {
            throw EventHubsError(.invalidArgument, "there is neither a connection string nor an identity")
        }
        return try EventHubEndpoint(string, eventHubName: eventHub, options: connecting)
    }

    /// How the client connects.
    package var connecting: EventHubsOptions {
        var options = EventHubsOptions()
        options.userAgent = "tailrace-agent/\(Version.text)"
        options.transport = transport
        options.proxy = proxy
        options.customEndpoint = customEndpoint
        if let caFile { options.tls = EventHubsTLS(authorities: caFile) }
        return options
    }
}

package struct ListenAddress: Equatable, Sendable, CustomStringConvertible {
    package var host: String
    package var port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// `HOST:PORT`, or `[IPv6]:PORT`.
    package init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard !host.isEmpty, host.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else { return nil }
        self.init(host: String(host), port: Int(port))
    }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
