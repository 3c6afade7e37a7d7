import NIOCore
import Pulsar
import PulsarBroker
import TailraceAgent
import TailraceSpool

/// The project's own Pulsar brokers, which are one process, and keep their topics in memory.
///
/// Used on one thread: hence `@unchecked Sendable`.
final class BrokerServer: WireServer, @unchecked Sendable {
    private static let topic = "persistent://public/default/logs"

    private let plan: WirePlan
    private let dice: WireDice
    private let memory = BrokerMemory()
    var manners = WireManners()
    private(set) var partitionCount: Int
    private var running: (broker: PulsarBroker, loop: SimulatedLoop)?
    private(set) var partitions: [[Numbered]] = []
    /// By partition, the number of its last record.
    private var numbers: [UInt64?] = []
    private(set) var violations: [String] = []
    weak var events: (any WorldEvents)?
    var onResend: (() -> Void)?

    init(_ plan: WirePlan, partitions count: Int, _ dice: WireDice) {
        self.plan = plan
        self.dice = dice
        partitionCount = count
        memory.onStore = { [unowned self] topic, message in note(message, in: topic) }
    }

    var isExact: Bool { plan.isExact }
    /// A broker lets nobody in under a name whose connection it still has.
    var isOrderly: Bool { false }

    private var names: [String] { (0..<plan.brokers.count).map { "broker-\($0).example" } }

    // MARK: - Its process

    func start(_ loop: SimulatedLoop) throws -> SimulatedNetwork.Accept {
        var configuration = BrokerConfiguration(names: names, memory: memory, eventLoop: loop)
        configuration.deduplicates = plan.isExact
        configuration.partitions = [Self.topic: partitionCount]
        configuration.maximumMessageSize = plan.brokers.maximumMessageSize
        configuration.keepAliveInterval = .seconds(Int64(plan.brokers.keepAlive))
        configuration.disconnectNotice = .milliseconds(Int64(plan.brokers.disconnectNotice))
        configuration.onSend = { [unowned self] in fault(in: $0) }
        configuration.onRequest = { [unowned self] in fault(in: $0) }
        let broker = try PulsarBroker(configuration, logger: WorldLife.quiet)
        running = (broker, loop)
        return { channel, host in try broker.serve(channel, name: host) }
    }

    func abandon(withPower: Bool) {
        // What was on its way to the store may have come there.
        running?.broker.abandon { _ in dice.below(4) }
        running = nil
    }

    func grow(by count: Int) -> Bool {
        partitionCount += count
        running?.broker.happen(.partitionsCome(to: Self.topic, partitionCount))
        return false
    }

    /// What is on its way waits for its writing, perhaps until the next process has asked what is there.
    func clientEnded() {
        guard manners.stalls > 0 else { return }
        for partition in 0..<partitionCount {
            let topic = "\(Self.topic)-partition-\(partition)"
            running?.broker.happen(.writesWait(topic: topic))
            stall(topic, upTo: .seconds(3))
        }
    }

    func meet(_ event: WireManners.Event) {
        guard let broker = running?.broker else { return }
        let topic = "\(Self.topic)-partition-\(event.place % partitionCount)"
        events?.note("brokers", UInt64(event.place), 0, "\(event.kind)")
        switch event.kind {
        case .move(let isTold):
            broker.happen(.topicMoves(topic, to: event.place / 10 % plan.brokers.count, isTold: isTold))
        case .close: broker.happen(.producersClose(topic: topic, assigned: nil))
        case .drop: broker.happen(.connectionsDrop)
        }
    }

    /// All that brokers do they do on their loop.
    func work() -> StepResult<UInt64> { .wait(until: nil) }

    private func note(_ message: StoredMessage, in topic: String) {
        guard let index = topic.split(separator: "-").last.flatMap({ Int($0) }),
            let record = message.payload.withUnsafeReadableBytes({ Numbered($0) })
        else {
            violations.append("\(topic) has a message of nobody: \(message)")
            return
        }
        while partitions.count <= index {
            partitions.append([])
            numbers.append(nil)
        }
        let number = message.sequenceID + UInt64(message.batchIndex ?? 0)
        if plan.isExact, let last = numbers[index], number <= last {
            violations.append("\(topic) stores number \(number) behind \(last)")
        }
        numbers[index] = number
        partitions[index].append(record)
        events?.noteStore(record)
    }

    // MARK: - Its faults

    private func fault(in send: BrokerSend) -> SendFault? {
        if send.messages.contains(where: { Self.record($0)?.record.isPoison ?? false }) {
            return .refuse(.notAllowedError, "poison")
        }
        if dice.happens(manners.refusals) {
            events?.note("refused for now", UInt64(send.number), 0, send.topic)
            let error = dice.pick([
                ServerError.persistenceError, .metadataError, .unknownError, .serviceNotReady, .tooManyRequests,
                .producerBlockedQuotaExceededError, .producerBlockedQuotaExceededException, .checksumError,
            ])
            return dice.below(4) == 0 ? .failWrite : .refuse(error, "as the seed says")
        }
        if dice.happens(manners.cuts) {
            events?.note("cut", UInt64(send.number), 0, send.topic)
            switch dice.below(4) {
            case 0: return .drop
            case 1: return .storeThenDrop
            case 2: return .closeProducer(assigned: assignment())
            default: return .storeThenCloseProducer(assigned: assignment())
            }
        }
        if dice.happens(manners.silences) {
            events?.note("silence", UInt64(send.number), 0, send.topic)
            return dice.flip() ? .silence : .storeSilently
        }
        if dice.happens(manners.delays) {
            if dice.below(8) == 0 { return .answerTwice }
            let isLong = dice.below(10) == 0
            return .answerLate(dice.time(upTo: isLong ? .seconds(90) : .milliseconds(300)))
        }
        if dice.happens(manners.stalls) {
            stall(send.topic, upTo: dice.below(4) == 0 ? .seconds(20) : .milliseconds(300))
            return .stallWrites
        }
        return nil
    }

    /// Writes that wait go on, or fail.
    private func stall(_ topic: String, upTo longest: TimeAmount) {
        guard let (broker, loop) = running else { return }
        let (isLost, pause) = (dice.below(3) == 0, dice.time(upTo: longest))
        events?.note("writes wait", isLost ? 1 : 0, UInt64(pause.nanoseconds), topic)
        loop.scheduleTask(in: pause) { broker.happen(.writesGoOn(topic: topic, dropping: isLost)) }
    }

    /// Where a producer is sent that is closed; nil: it must ask.
    private func assignment() -> String? { dice.flip() ? "pulsar://\(dice.pick(names)):6650" : nil }

    private func fault(in request: BrokerRequest) -> RequestFault? {
        switch request.command {
        case .producer(let producer):
            onResend?()
            guard dice.happens(manners.openings) else { return nil }
            return fault(producer.requestID, upTo: .seconds(30))
        case .lookup(let lookup):
            guard dice.happens(manners.questions) else { return nil }
            guard dice.flip() else { return fault(lookup.requestID, upTo: .seconds(40)) }
            return .answer([
                .lookupResponse(
                    LookupResponseCommand(
                        brokerServiceURL: "pulsar://\(dice.pick(names)):6650",
                        response: dice.flip() ? .redirect : .connect, requestID: lookup.requestID,
                        authoritative: dice.flip()))
            ])
        case .partitionedMetadata(let question):
            return dice.happens(manners.questions) ? fault(question.requestID, upTo: .seconds(40)) : nil
        case .connect:
            guard dice.happens(manners.questions) else { return nil }
            return fault(.max, upTo: .seconds(20))
        case .closeProducer:
            guard dice.happens(manners.questions) else { return nil }
            return .delay(dice.time(upTo: .seconds(5)))
        default: return nil
        }
    }

    private func fault(_ request: UInt64, upTo longest: TimeAmount) -> RequestFault {
        events?.note("request refused", request, 0, "")
        switch dice.below(5) {
        case 0, 1:
            let error = dice.pick([
                ServerError.serviceNotReady, .metadataError, .persistenceError, .unknownError, .topicNotFound,
                .authorizationError, .tooManyRequests, .producerBusy, .producerBlockedQuotaExceededException,
            ])
            return .answer([.error(ErrorCommand(requestID: request, error: error, message: "as the seed says"))])
        case 2: return .silence
        case 3: return .drop
        default: return .delay(dice.time(upTo: longest))
        }
    }

    private static func record(_ message: StoredMessage) -> Numbered? {
        message.payload.withUnsafeReadableBytes { Numbered($0) }
    }

    // MARK: - The way there

    func outlet(_ name: String, _ machine: WireMachine) throws -> PulsarOutlet {
        var settings = PulsarOutputSettings(
            name: name, serviceURL: "pulsar://" + names.joined(separator: ","), topic: Self.topic, host: "h")
        settings.batchSize = plan.brokers.batchSize
        settings.compression = plan.brokers.isCompressed ? .zlib : .none
        var options = settings.connecting
        options.keepAliveInterval = .seconds(plan.brokers.keepAlive)
        options.environment.connector = machine.connector
        options.environment.executor = machine.tasks
        options.environment.instant = machine.instant
        let clocks = machine.clocks
        options.environment.wallMilliseconds = { UInt64(clocks.wallMilliseconds()) }
        options.environment.random = { [dice] in dice.next() }
        return try PulsarOutlet(settings, options, eventLoop: machine.loop, logger: WorldLife.quiet)
    }

    func leftovers(of way: PulsarOutlet) -> String? {
        way.connections == 0 ? nil : "\(way.connections) connections are left"
    }

    func ids(in batch: PulsarDestination.Batch) -> [UInt64] {
        var reader = BatchReader(batch.payload.bytes)
        var ids: [UInt64] = []
        while let message = try? reader.next() {
            if let record = message.payload.withUnsafeReadableBytes({ Numbered($0) }) { ids.append(record.id) }
        }
        return ids
    }
}
