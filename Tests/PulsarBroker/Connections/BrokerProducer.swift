internal import Pulsar

/// One producer of one connection.
final class BrokerProducer {
    let id: UInt64
    let name: String
    let topic: Topic
    /// Of its PRODUCER.
    let requestID: UInt64
    /// Of its schema; empty without one.
    let schemaVersion: [UInt8]
    /// False while it waits for exclusive access.
    var isReady: Bool

    private struct Answer {
        var commands: [Command]
        var isReady: Bool
        let ticket: Int
    }

    private var answers: [Answer] = []
    private var tickets = 0

    init(
        id: UInt64, name: String, topic: Topic, requestID: UInt64, schemaVersion: [UInt8], isReady: Bool
    ) {
        self.id = id
        self.name = name
        self.topic = topic
        self.requestID = requestID
        self.schemaVersion = schemaVersion
        self.isReady = isReady
    }

    /// A place among the answers, which go out in the order of their places.
    func place() -> Int {
        tickets += 1
        answers.append(Answer(commands: [], isReady: false, ticket: tickets))
        return tickets
    }

    /// What is to be sent at that place; nothing: no answer at all.
    func put(_ commands: [Command], at ticket: Int, isReady: Bool = true) {
        guard let index = answers.firstIndex(where: { $0.ticket == ticket }) else { return }
        answers[index].commands = commands
        answers[index].isReady = isReady
    }

    func release(_ ticket: Int) {
        guard let index = answers.firstIndex(where: { $0.ticket == ticket }) else { return }
        answers[index].isReady = true
    }

    /// What was put but is held.
    func releaseAll() {
        for index in answers.indices where !answers[index].commands.isEmpty { answers[index].isReady = true }
    }

    func takeReady() -> [Command] {
        let ready = answers.prefix(while: \.isReady)
        answers.removeFirst(ready.count)
        return ready.flatMap(\.commands)
    }
}
