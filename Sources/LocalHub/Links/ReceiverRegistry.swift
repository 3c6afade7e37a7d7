internal import AMQP
import Synchronization

/// Who reads which partition for which consumer group: owner levels, and the service's limit for readers without.
final class ReceiverRegistry: Sendable {
    struct Place: Hashable {
        var group: String
        var partition: Int
    }

    private struct Entry {
        let receiver: HubReceiver
        let connection: HubConnection
    }

    private let places = Mutex<[Place: [Entry]]>([:])
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// Lets a receiver in, or says why not. A higher or equal owner level throws out those who are there.
    func enter(_ receiver: HubReceiver, of connection: HubConnection, at place: Place) -> AMQPError? {
        let result: Result<[Entry], AMQPError> = places.withLock { places in
            let present = places[place, default: []]
            let highest = present.compactMap(\.receiver.ownerLevel).max()
            guard let level = receiver.ownerLevel else {
                if let highest {
                    return .failure(
                        AMQPError(
                            AMQPCondition.stolen,
                            "a receiver with owner level \(highest) holds partition \(place.partition) of \(place.group)"
                        ))
                }
                guard present.count < limit else {
                    return .failure(
                        AMQPError(
                            AMQPCondition.resourceLimitExceeded,
                            "at most \(limit) receivers without owner level may read a partition in a consumer group"))
                }
                places[place] = present + [Entry(receiver: receiver, connection: connection)]
                return .success([])
            }
            if let highest, highest > level {
                return .failure(
                    AMQPError(
                        AMQPCondition.stolen,
                        "a receiver with the higher owner level \(highest) holds partition \(place.partition)"))
            }
            places[place] = [Entry(receiver: receiver, connection: connection)]
            return .success(present)
        }
        switch result {
        case .failure(let error): return error
        case .success(let losers):
            for loser in losers {
                let link = loser.receiver.link
                let connection = loser.connection
                connection.eventLoop.execute {
                    connection.detach(
                        link,
                        AMQPError(
                            AMQPCondition.stolen,
                            "a receiver with owner level \(receiver.ownerLevel ?? 0) took partition \(place.partition)")
                    )
                }
            }
            return nil
        }
    }

    func leave(_ receiver: HubReceiver, _ place: Place) {
        places.withLock { $0[place]?.removeAll { $0.receiver === receiver } }
    }
}
