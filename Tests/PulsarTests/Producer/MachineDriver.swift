import NIOCore
import Pulsar
import TestSupport

/// A producer machine with a time of its own, and what it has done so far.
final class MachineDriver {
    typealias Machine = ProducerMachine<Int>

    var machine: Machine
    var now = ContinuousClock.now
    var random = SeededGenerator(seed: 1)
    /// Not looked at yet.
    var actions: [Machine.Action] = []

    init(_ options: ProducerMachineOptions = ProducerMachineOptions()) { machine = Machine(options) }

    static func send(_ first: UInt64, through last: UInt64? = nil, size: Int = 10, isLastChunk: Bool = true)
        -> SealedSend
    {
        SealedSend(
            firstID: first, lastID: last ?? first, isLastChunk: isLastChunk, head: ByteBuffer(),
            payload: ByteBuffer(repeating: UInt8(truncatingIfNeeded: first), count: size))
    }

    /// What was not looked at, in short.
    var texts: [String] { take().map(\.text) }

    func take() -> [Machine.Action] {
        defer { actions = [] }
        return actions
    }

    func start() { machine.start(now: now, &actions) }

    func opened(name: String = "name", last: Int64 = -1, isReady: Bool = true, topicEpoch: UInt64? = nil) {
        let producer = OpenedProducer(name: name, lastSequenceID: last, maximumMessageSize: 1000)
        machine.opened(
            producer, attempt: machine.attempt, isReady: isReady, topicEpoch: topicEpoch, now: now, using: &random,
            &actions)
    }

    /// Opened, and nothing of that left to look at.
    func open() {
        start()
        opened()
        actions = []
    }

    func fail(_ code: PulsarError.Code) {
        machine.openingFailed(
            PulsarError(code, "test"), attempt: machine.attempt, now: now, using: &random, &actions)
    }

    func submit(_ token: Int, _ sends: SealedSend...) { machine.submit(sends, token, now: now, &actions) }

    func receipt(_ id: UInt64, _ position: SendPosition = SendPosition(ledgerID: 1, entryID: 1)) {
        machine.receipt(
            firstID: id, position: position, attempt: machine.attempt, now: now, using: &random, &actions)
    }

    func refuse(_ id: UInt64, _ code: PulsarError.Code) {
        machine.refused(
            PulsarError(code, "test"), lastID: id, attempt: machine.attempt, now: now, using: &random, &actions)
    }

    func lose() {
        machine.connectionClosed(
            PulsarError(.connectionLost, "test"), attempt: machine.attempt, now: now, using: &random, &actions)
    }

    func pass(_ time: Duration) {
        now = now.advanced(by: time)
        machine.timeReached(now: now, using: &random, &actions)
    }

    /// Until the time that the machine waits for.
    func passToDeadline() -> Bool {
        guard let deadline = machine.deadline else { return false }
        pass(max(deadline - now, .zero))
        return true
    }
}

extension ProducerMachine.Action {
    /// In short, for comparisons.
    var text: String {
        switch self {
        case .open(let opening):
            switch opening.place {
            case .lookup: "open \(opening.epoch)"
            case .broker(let url): "open \(opening.epoch) at \(url)"
            case .cluster(let url): "open \(opening.epoch) in \(url)"
            }
        case .transmit(let send): "send \(send.firstID)"
        case .settled(let token, .success(let position)): "\(token) \(position.isDuplicate ? "was there" : "stored")"
        case .settled(let token, .failure(let error)):
            "\(token) \(error.code)\(error.isOutcomeUnknown ? "?" : "")"
        case .ready: "ready"
        case .ended(let error): "ended \(error.code)"
        case .reset: "reset"
        }
    }
}
