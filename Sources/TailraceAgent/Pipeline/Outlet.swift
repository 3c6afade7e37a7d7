package import NIOCore
package import TailraceDelivery
package import TailraceSpool

/// The way to one kind of service: what is different from output to output.
package protocol Outlet: Sendable {
    associatedtype Target: OutletDestination

    /// As the configuration calls it, such as "eventhubs".
    static var type: String { get }
    /// Where the output goes, for people.
    var place: String { get }
    /// Where waiting and connecting happen.
    var eventLoop: any EventLoop { get }
    /// Where its tasks run, which may block; nil: on the usual threads.
    var executor: (any TaskExecutor)? { get }

    /// One attempt to get there: until the service has told its partitions and is ready to take records. The connections
    /// may stay when it fails. Destinations that came before are closed.
    ///
    /// - Parameter route: given how many partitions the service has, says by which routing records go: so many of the
    ///   partitions, from the first on, are opened.
    func connect(
        _ ledger: Ledger, _ health: OutputHealth, _ account: InputAccount?,
        route: @Sendable (_ partitions: Int) throws -> Routing
    ) async throws -> Target
    /// How many partitions the service has now.
    func partitionCount() -> EventLoopFuture<Int>
    /// What an error of `connect` means for people.
    func trouble(_ error: any Error) -> OutputTrouble
    /// The partition of a key: the same in every process, for ever.
    static func partition(of key: String, count: Int) -> Int
    /// Ends all connections.
    func close() -> EventLoopFuture<Void>
}

/// A destination that tells the status more.
package protocol OutletDestination: Destination {
    /// As the service names the partitions, in the order of their numbers.
    var partitionIDs: [String] { get }
    /// More about it, for the log.
    var facts: [(name: String, value: String)] { get }
    /// Batches in flight per partition; more than one needs a service that refuses what comes behind a gap.
    static var window: Int { get }
    /// Records of one batch at most.
    var maximumBatchRecords: Int { get }
    /// What stands in the way now, where sending goes on by itself and tells nobody.
    func trouble(_ partition: Int) -> OutputTrouble?
    /// Gives up its producers, so that others may be opened in their place. Nothing is sent any more.
    func close() async
}

/// What stands between an output and its service.
package struct OutputTrouble: Equatable, Sendable {
    /// For the status, such as "not connected; trying again".
    package var state: String
    /// Cause and remedy.
    package var error: String
    /// Another agent has taken over: that stays, whatever else goes well.
    package var isTakeover = false
}
