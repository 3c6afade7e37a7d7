package import TailraceSpool

/// What the agent runs on a thread: one input, or all inputs of a kind that share one.
package protocol RunningInput: AnyObject, Sendable {
    /// For messages, such as "file inputs".
    var description: String { get }

    /// Occupies the calling thread until `stop()` is called or the sink is closed. Called once.
    func run()

    /// Asks `run()` to return. It does so soon, unless the sink makes it wait: then closing the sink ends that.
    func stop()

    /// Of every thread that it has.
    var marks: [StageMark] { get }

    /// Has event loops show that they are alive, on their marks: they have threads, but no loop of ours.
    func probe()

    /// How its inputs stand, by their names in the configuration.
    ///
    /// - Parameter timeoutMilliseconds: how long the caller waits at most; then what is known is told.
    func reports(timeoutMilliseconds: Int) -> [String: InputReport]
}

extension RunningInput {
    package func probe() {}
}

/// How one input stands, beyond the records that it has passed on (those the sink counts). Counted since the start.
package struct InputReport: Equatable, Sendable {
    /// Records that existed and went no further, for one reason.
    package struct Drop: Equatable, Sendable {
        /// A few words, the same each time: they become a label of a metric.
        package var reason: String
        package var records: UInt64

        package init(_ reason: String, _ records: UInt64) {
            self.reason = reason
            self.records = records
        }
    }

    /// One thing that is read: a file, a journal, a socket.
    package struct Source: Equatable, Sendable {
        package var path: String
        /// Such as "followed", or "troubled: " with the reason and what to do.
        package var condition: String
        package var isTroubled: Bool
        /// Bytes; both 0 where it has no size.
        package var size: UInt64
        package var offset: UInt64
        package var lag: UInt64 { size > offset ? size - offset : 0 }

        package init(
            _ path: String, _ condition: String, isTroubled: Bool = false, size: UInt64 = 0, offset: UInt64 = 0
        ) {
            self.path = path
            self.condition = condition
            self.isTroubled = isTroubled
            self.size = size
            self.offset = offset
        }
    }

    /// Something that an input counts beside its records, or has so much of.
    package struct Count: Equatable, Sendable {
        /// A few words, the same each time: they become a label of a metric.
        package var name: String
        package var value: UInt64

        package init(_ name: String, _ value: UInt64) {
            self.name = name
            self.value = value
        }
    }

    package var drops: [Drop] = []
    /// What happened, counted since the start; and how much there is now. A few of each, always the same ones.
    package var events: [Count] = []
    package var levels: [Count] = []
    /// Bytes that are known to have existed and could not be read: a file truncated or removed before its end.
    package var lostBytes: UInt64 = 0
    /// Records passed on that nobody sent to us: they tell of losses.
    package var notices: UInt64 = 0
    package var sources: [Source] = []

    package init() {}

    package var dropped: UInt64 { drops.reduce(0) { $0 &+ $1.records } }
    package var lagBytes: UInt64 { sources.reduce(0) { $0 &+ $1.lag } }
}
