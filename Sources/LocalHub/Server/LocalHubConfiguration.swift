package import NIOCore
package import TailraceSpool

/// An Event Hubs compatible server: one hub of one namespace.
package struct LocalHubConfiguration: Sendable {
    /// Address or name to listen on.
    package var host = "127.0.0.1"
    /// 0: any free port.
    package var port = 0
    package var hubName = "logs"
    /// 1 to `maximumPartitions`.
    package var partitionCount = 4
    /// Where the partitions are kept, and found again; nil: a temporary directory that goes with the hub.
    package var storeDirectory: String?
    /// No TLS.
    package var isPlain = false
    /// The one key that this hub knows. The defaults are those of the service's emulator: they guard nothing.
    package var sharedAccessKeyName = "RootManageSharedAccessKey"
    package var sharedAccessKey = "SAS_KEY_VALUE"
    /// Takes tokens of type `jwt` too, for every entity, when this finds them good; nil: such tokens are refused.
    package var acceptsToken: (@Sendable (_ token: String) -> HubTokenVerdict)?
    /// Where `ca.pem`, `server.pem` and `server.key` are written, or found and used again, so that a restarted hub is
    /// still trusted; nil: a temporary directory that goes with the hub.
    package var certificateDirectory: String?
    /// Names and addresses that the server's certificate bears.
    package var certificateNames = ["localhost", "127.0.0.1", "::1"]
    /// When stored events become durable. A hub for laptops and tests leaves that to the kernel: a killed hub loses
    /// nothing, a power cut may.
    package var sync = SyncPolicy.never
    /// Bytes on disk per partition; the oldest events go when they are used up.
    package var partitionSize: UInt64 = 4 << 30
    package var segmentSize = 64 << 20
    /// Bytes of a message, as the service has it.
    package var maximumMessageSize: UInt64 = 1 << 20
    package var maximumFrameSize: UInt32 = 65536
    /// Milliseconds of a client's silence.
    package var idleTimeOut: UInt32 = 240_000
    /// Messages that a producer link may have unanswered.
    package var linkCredit: UInt32 = 64
    /// Receivers without owner level per consumer group and partition, as the service has it.
    package var receiverLimit = 5
    /// Whether producers may number their events, so that none is stored twice. Off: as a namespace that knows nothing of
    /// it, the hub ignores the wish.
    package var supportsIdempotentPublishing = true
    /// Idempotent producers remembered per partition, 1 to `maximumProducers`. One more makes room by taking the place of
    /// the one without a link that published longest ago.
    package var producerLimit = 1024
    /// An idempotent producer that comes with a higher owner level begins again before the first number, as the live
    /// tests of the reference's beta 5.4.0b1 show of the service; otherwise it goes on where it stood.
    package var countsAnewPerOwnerLevel = false
    /// From the connection to the first bytes of AMQP or the whole head of a WebSocket's request, TLS included.
    package var firstBytesTimeout: TimeAmount = .seconds(30)
    /// Event loop threads.
    package var threads = 1
    /// What the partitions are stored in, and the clock. Without threads the hub has none either, nor sockets: its owner
    /// gives it channels (`LocalHub.serve`) and lets its partitions work (`LocalHub.step`).
    package var environment = SpoolEnvironment()
    /// The id of a producer that asks for none; it is asked for another one where that is taken.
    package var newProducerID: @Sendable () -> Int64 = { Int64.random(in: 1 ... .max) }
    /// For fault scripts: asked for every message that arrives on a producer link, in the order of arrival.
    package var onDelivery: (@Sendable (HubDelivery) -> HubFault?)?
    /// For fault scripts: asked for every link that a client may have, in the order of arrival.
    package var onAttach: (@Sendable (HubAttach) -> HubAttachFault?)?
    /// For fault scripts: asked for every token put on `$cbs`, counted from 0 over the hub's life.
    package var onToken: (@Sendable (_ number: Int) -> HubTokenFault?)?

    package static let maximumPartitions = 1024
    /// What is known of so many takes 2 MB at each segment's beginning.
    package static let maximumProducers = 65536
    /// Four segments that each hold a few messages.
    package static let minimumPartitionSize: UInt64 = 16 << 20

    package init() {}
}

/// What becomes of a token that an issuer made.
package enum HubTokenVerdict: Equatable, Sendable {
    /// Good until then, in seconds since 1970; the links that it opened end with it unless it is renewed.
    case accepted(expiry: Int64)
    /// Why not, as the client is told.
    case refused(String)
}

/// What a hub cannot do, and what to do about it.
package struct LocalHubError: Error, Equatable, CustomStringConvertible {
    package var description: String
    init(_ description: String) { self.description = description }
}

/// Counts of one partition.
package struct HubPartitionStatistics: Equatable, Sendable {
    /// The sequence number of the oldest event.
    package var firstSequenceNumber: Int64
    /// The sequence number that the next event gets.
    package var nextSequenceNumber: Int64
    /// Since the hub started.
    package var eventsStored = 0
    package var messagesStored = 0
    package var bytesStored = 0
    /// Messages of idempotent producers that were stored already and only acknowledged again.
    package var duplicateMessages = 0
}

package struct LocalHubStatistics: Equatable, Sendable {
    package var partitions: [HubPartitionStatistics]
    package var connections: Int
    package var connectionsAccepted: Int
}
