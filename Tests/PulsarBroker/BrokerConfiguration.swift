package import NIOCore
internal import Pulsar

/// What a broker is to be like.
package struct BrokerConfiguration: Sendable {
    package struct TLS: Sendable {
        /// Where `ca.pem`, `server.pem` and `server.key` are made when they are not there.
        package var directory: String
        /// Of the certificate: DNS names and IP addresses.
        package var names = ["localhost", "127.0.0.1", "::1"]
        /// PEM file: every client must show a certificate from there; nil: none is asked for.
        package var clientAuthorityFile: String?
        /// 0: any that is free.
        package var port = 0

        package init(directory: String) {
            self.directory = directory
        }
    }

    package var host = "127.0.0.1"
    /// Of the first broker; 0: any that is free. The others and the proxy take free ones.
    package var port = 0
    /// Brokers of the cluster, each with an address of its own; all topics belong to the first until they are moved,
    /// and the others redirect to it.
    package var brokers = 1
    /// Whether there is a proxy too: it answers lookups, and lets producers in only on connections whose CONNECT names
    /// the broker behind it.
    package var hasProxy = false
    /// Where topics are kept; made when it is not there.
    package var storeDirectory: String
    /// Topics are kept there instead.
    package var memory: BrokerMemory?
    /// Where everything happens; nil: a thread of the broker's own.
    package var eventLoop: (any EventLoop)?
    /// What the brokers are called, instead of listening: their owner gives them channels (`PulsarBroker.serve`).
    package var names: [String]?
    package var deduplicates = true
    /// Partitions of topics, by full name; 0: not partitioned.
    package var partitions: [String: Int] = [:]
    package var defaultPartitions = 0
    /// Bytes of metadata and payload, told in CONNECTED; nil: not told, and the usual 5 MiB.
    package var maximumMessageSize: Int?
    /// Nil: plain TCP only; else both.
    package var tls: TLS?
    package var authentication = BrokerAuthentication.none
    /// An AUTH_CHALLENGE before CONNECTED.
    package var challengesInHandshake = false
    /// For an answer to an AUTH_CHALLENGE.
    package var challengeTimeout = TimeAmount.seconds(60)
    /// PINGs go out after so much silence, and after twice as much the connection is closed.
    package var keepAliveInterval = TimeAmount.seconds(30)
    /// How long the producers of a lost connection still count as connected.
    package var disconnectNotice = TimeAmount.zero
    package var protocolVersion: Int32 = 20
    package var onSend: (@Sendable (BrokerSend) -> SendFault?)?
    package var onRequest: (@Sendable (BrokerRequest) -> RequestFault?)?

    package init(storeDirectory: String) {
        self.storeDirectory = storeDirectory
    }

    /// Without threads, sockets and files.
    ///
    /// - Parameter names: of the brokers, of which each is a host.
    package init(names: [String], memory: BrokerMemory, eventLoop: any EventLoop) {
        storeDirectory = ""
        brokers = names.count
        self.names = names
        self.memory = memory
        self.eventLoop = eventLoop
    }
}

/// Whom a broker lets in.
package enum BrokerAuthentication: Sendable {
    case none
    /// Any of these.
    case token(Set<String>)
    /// Tokens that this believes.
    case judged(@Sendable (String) -> Bool)
    /// Any of these, `user:password`.
    case basic(Set<String>)

    func accepts(method: String?, data: [UInt8]?) -> Bool {
        let text = data.map { String(decoding: $0, as: UTF8.self) } ?? ""
        switch self {
        case .none: return true
        case .token(let tokens): return method == "token" && tokens.contains(text)
        case .judged(let believes): return method == "token" && believes(text)
        case .basic(let users): return method == "basic" && users.contains(text)
        }
    }
}
