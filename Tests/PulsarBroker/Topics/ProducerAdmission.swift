internal import Pulsar

/// Who may produce to a topic: names are unique, and a producer may want the topic for itself (after the broker's
/// AbstractTopic).
struct ProducerAdmission {
    /// One producer of one connection.
    struct Key: Hashable {
        var connection: Int
        var producerID: UInt64
    }

    struct Request {
        var key: Key
        var name: String
        var epoch: UInt64
        var mode: ProducerAccessMode
        /// What the topic's was when this producer had the topic for itself.
        var topicEpoch: UInt64?
    }

    enum Answer: Equatable {
        /// - Parameters:
        ///   - topicEpoch: nil for a producer that shares.
        ///   - fenced: these have lost their place, and those that waited the prospect of one.
        case ready(topicEpoch: UInt64?, fenced: [Key])
        case waiting
        case refused(ServerError, String)
    }

    private struct Member {
        var key: Key
        var epoch: UInt64
    }

    private var members: [String: Member] = [:]
    /// The name of the one that has the topic for itself.
    private var exclusive: String?
    private var waiting: [Request] = []
    private var topicEpoch: UInt64?

    mutating func enter(_ request: Request) -> Answer {
        if let old = members[request.name] {
            // A client that opens its producer again on the same connection.
            guard old.key == request.key, request.epoch > old.epoch else {
                return .refused(
                    .producerBusy, "Producer with name '\(request.name)' is already connected to topic")
            }
            remove(request.name)
        }
        waiting.removeAll { $0.key == request.key }
        switch request.mode {
        case .exclusive, .waitForExclusive:
            if exclusive != nil || !waiting.isEmpty || !members.isEmpty {
                if request.mode == .waitForExclusive {
                    waiting.append(request)
                    return .waiting
                }
                return .refused(.producerFenced, "Topic has an existing producer")
            }
            if let epoch = request.topicEpoch, epoch < topicEpoch ?? 0 {
                return .refused(.producerFenced, "Topic epoch has already moved")
            }
            return own(request, fenced: [])
        case .exclusiveWithFencing:
            if let epoch = request.topicEpoch, epoch < topicEpoch ?? 0 {
                return .refused(.producerFenced, "Topic epoch has already moved")
            }
            let fenced = members.values.map(\.key) + waiting.map(\.key)
            members = [:]
            waiting = []
            return own(request, fenced: fenced)
        default:
            guard exclusive == nil, waiting.isEmpty else {
                return .refused(.producerBusy, "Topic has an existing exclusive producer")
            }
            members[request.name] = Member(key: request.key, epoch: request.epoch)
            return .ready(topicEpoch: nil, fenced: [])
        }
    }

    private mutating func own(_ request: Request, fenced: [Key]) -> Answer {
        topicEpoch = request.topicEpoch ?? topicEpoch.map { $0 + 1 } ?? 0
        exclusive = request.name
        members[request.name] = Member(key: request.key, epoch: request.epoch)
        return .ready(topicEpoch: topicEpoch, fenced: fenced)
    }

    private mutating func remove(_ name: String) {
        members[name] = nil
        if exclusive == name { exclusive = nil }
    }

    /// A producer is gone. Returns the one that now has what it waited for.
    mutating func leave(_ key: Key) -> (request: Request, topicEpoch: UInt64?)? {
        waiting.removeAll { $0.key == key }
        if let name = members.first(where: { $0.value.key == key })?.key { remove(name) }
        guard members.isEmpty else { return nil }
        while !waiting.isEmpty {
            let next = waiting.removeFirst()
            if let epoch = next.topicEpoch, epoch < topicEpoch ?? 0 { continue }
            guard case .ready(let topicEpoch, _) = own(next, fenced: []) else { continue }
            return (next, topicEpoch)
        }
        return nil
    }
}
