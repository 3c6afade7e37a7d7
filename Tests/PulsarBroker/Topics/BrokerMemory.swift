internal import NIOCore
internal import Pulsar

/// Topics that outlive their broker in memory, as those of Apache's brokers outlive them in BookKeeper: what was stored
/// stays, and the next broker reads from it which ids it has of whom.
///
/// Apache's broker takes that from a snapshot and the entries behind it, which comes to the same.
///
/// Used on the broker's event loop, by one broker at a time: hence `@unchecked Sendable`.
package final class BrokerMemory: @unchecked Sendable {
    private var entries: [String: [FramePayload]] = [:]
    /// Told of each message that is stored.
    package var onStore: ((_ topic: String, _ message: StoredMessage) -> Void)?

    package init() {}

    func log(of topic: String) -> any TopicEntries { Log(memory: self, topic: topic) }

    private struct Log: TopicEntries {
        let memory: BrokerMemory
        let topic: String

        var count: Int { memory.entries[topic]?.count ?? 0 }
        func entry(_ index: Int) -> FramePayload { memory.entries[topic, default: []][index] }

        func append(_ entry: FramePayload) throws -> Int {
            let number = count
            memory.entries[topic, default: []].append(entry)
            if let onStore = memory.onStore {
                for message in try StoredMessage.all(in: entry, number: number) { onStore(topic, message) }
            }
            return number
        }
    }
}

/// The entries of one topic, in their order.
protocol TopicEntries {
    var count: Int { get }
    func entry(_ index: Int) throws -> FramePayload
    /// Returns the number of the entry, when it is stored.
    func append(_ entry: FramePayload) throws -> Int
}
