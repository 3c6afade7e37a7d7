import AMQP
import EventHubs
import LocalHub
import NIOCore
import TailraceAgent
import TailraceSpool
import TestSupport
import Transports

/// The project's own event hub, on a disk that the seed decides.
///
/// Used on one thread: hence `@unchecked Sendable`.
final class HubServer: WireServer, @unchecked Sendable {
    private static let key = "a key of no use"
    private static let host = "hub.example"

    private let plan: WirePlan
    private let clocks: Clocks
    private let disk: SimulatedDisk
    private let dice: WireDice
    var manners = WireManners()
    private(set) var partitionCount: Int
    private var hub: LocalHub?
    private(set) var partitions: [[Numbered]] = []
    private(set) var violations: [String] = []
    weak var events: (any WorldEvents)?
    /// Who sends again says so by the end of what was sent.
    var onResend: (() -> Void)?

    init(_ plan: WirePlan, partitions count: Int, clocks: Clocks, _ dice: WireDice) {
        self.plan = plan
        self.clocks = clocks
        self.dice = dice
        partitionCount = count
        disk = SimulatedDisk(seed: dice.next())
    }

    var isExact: Bool { plan.isExact }
    /// What comes late to a hub that counts anew nobody can know of.
    var isOrderly: Bool { plan.isExact && plan.hub.countsAnew }

    // MARK: - Its process

    func start(_ loop: SimulatedLoop) throws -> SimulatedNetwork.Accept {
        disk.restart()
        var configuration = LocalHubConfiguration()
        configuration.isPlain = true
        configuration.storeDirectory = "/hub"
        configuration.environment = SpoolEnvironment(disk: disk, clocks: clocks, hasThreads: false)
        configuration.partitionCount = partitionCount
        configuration.sharedAccessKey = Self.key
        configuration.segmentSize = 64 << 10
        configuration.sync = .always
        configuration.maximumMessageSize = plan.hub.maximumMessageSize
        configuration.maximumFrameSize = plan.hub.maximumFrameSize
        configuration.idleTimeOut = plan.hub.idleTimeOut
        configuration.linkCredit = plan.hub.linkCredit
        configuration.supportsIdempotentPublishing = plan.isExact
        configuration.countsAnewPerOwnerLevel = plan.hub.countsAnew
        configuration.newProducerID = { [dice] in dice.number(in: 1 << 40...Int64.max) }
        configuration.onDelivery = { [unowned self] in fault(in: $0) }
        configuration.onAttach = { [unowned self] in fault(in: $0) }
        configuration.onToken = { [unowned self] _ in tokenFault() }
        let hub = try LocalHub(configuration, logger: WorldLife.quiet)
        self.hub = hub
        readStored()
        return { channel, _ in try hub.serve(channel) }
    }

    func abandon(withPower: Bool) {
        if withPower { disk.cutPower() } else { disk.kill() }
        hub?.abandon()
        hub = nil
    }

    func grow(by count: Int) -> Bool {
        partitionCount += count
        return true
    }

    func clientEnded() {}

    /// Nothing happens to a hub but its end.
    func meet(_ event: WireManners.Event) {}

    func work() -> StepResult<UInt64> {
        guard let hub else { return .wait(until: nil) }
        defer { readStored() }
        return hub.step()
    }

    /// What has become durable since the last time.
    private func readStored() {
        guard let hub else { return }
        while partitions.count < partitionCount { partitions.append([]) }
        for partition in partitions.indices {
            guard
                hub.statistics.partitions[partition].nextSequenceNumber > Int64(partitions[partition].count)
            else { continue }
            do {
                _ = try hub.forEachBody(partition, from: UInt64(partitions[partition].count)) { body in
                    guard let record = Numbered(body) else {
                        violations.append("the hub has an event of nobody: \(Array(body))")
                        return
                    }
                    partitions[partition].append(record)
                    events?.noteStore(record)
                }
            } catch {
                violations.append("the hub's partition \(partition) cannot be read: \(error)")
            }
        }
    }

    // MARK: - Its faults

    private func cut() -> HubFault.Cut {
        let error = AMQPError(
            dice.pick([
                "amqp:link:detach-forced", "amqp:internal-error", "com.microsoft:server-busy", "amqp:connection:forced",
            ]), "as the seed says")
        switch dice.below(4) {
        case 0: return .detach(error)
        case 1: return .endSession(error)
        case 2: return .closeConnection(error)
        default: return .dropTransport
        }
    }

    private func fault(in delivery: HubDelivery) -> HubFault? {
        if isPoisoned(delivery.payload) {
            return .answer(.rejected(AMQPError("com.microsoft:argument-error", "poison")))
        }
        if dice.happens(manners.refusals) {
            events?.note("refused for now", UInt64(delivery.partition), UInt64(delivery.events), "")
            switch dice.below(5) {
            case 0: return .answer(.rejected(AMQPError("com.microsoft:server-busy", "busy")))
            case 1: return .answer(.released)
            case 2:
                return .answer(.modified(deliveryFailed: true, undeliverableHere: false, annotations: AMQPMap()))
            case 3: return .answer(.rejected(AMQPError("com.microsoft:timeout", "timed out")))
            default: return .answer(.rejected(AMQPError("amqp:internal-error", "an error")))
            }
        }
        if dice.happens(manners.cuts) {
            let isStored = dice.flip()
            events?.note("cut", UInt64(delivery.partition), isStored ? 1 : 0, "")
            return isStored ? .storeThenEnd(cut()) : .end(cut())
        }
        if dice.happens(manners.silences) {
            events?.note("silence", UInt64(delivery.partition), 0, "")
            return .silence
        }
        if dice.happens(manners.delays) {
            let isLong = dice.below(10) == 0
            return .delay(dice.time(upTo: isLong ? .seconds(90) : .milliseconds(300)))
        }
        return nil
    }

    private func isPoisoned(_ message: ByteBuffer) -> Bool {
        var message = message
        return Self.records(of: &message).contains(where: \.record.isPoison)
    }

    private func fault(in attach: HubAttach) -> HubAttachFault? {
        guard dice.happens(manners.openings) else { return nil }
        events?.note("link refused", UInt64(attach.number), 0, "\(attach)")
        switch dice.below(6) {
        case 0: return .refuse(AMQPError("com.microsoft:server-busy", "busy"))
        case 1: return .refuse(AMQPError("amqp:internal-error", "an error"))
        case 2: return .acceptThenEnd(cut())
        case 3: return .delay(dice.time(upTo: .seconds(30)))
        case 4: return attach.kind == .producer ? .credit(dice.number(in: 0...3)) : nil
        default: return .silence
        }
    }

    private func tokenFault() -> HubTokenFault? {
        guard dice.happens(manners.questions) else { return nil }
        events?.note("token refused", 0, 0, "")
        switch dice.below(4) {
        case 0: return .answer(status: 401, text: "not now")
        case 1: return .answer(status: 503, text: "busy")
        case 2: return .delay(dice.time(upTo: .seconds(40)))
        default: return .silence
        }
    }

    /// The records of a message, numbered or not, with their ids.
    private static func records(of message: inout ByteBuffer) -> [Numbered] {
        var records: [Numbered] = []
        var envelope = MessageSections(message)
        while let section = try? envelope.next() {
            guard section.kind == .data,
                let event = message.getSlice(at: section.content.lowerBound, length: section.content.count)
            else { continue }
            var parts = MessageSections(event)
            while let part = try? parts.next() {
                guard part.kind == .data,
                    let body = event.getSlice(at: part.content.lowerBound, length: part.content.count)
                else { continue }
                if let record = body.withUnsafeReadableBytes({ Numbered($0) }) { records.append(record) }
            }
        }
        return records
    }

    // MARK: - The way there

    func outlet(_ name: String, _ machine: WireMachine) -> EventHubsOutlet {
        var options = EventHubsOptions()
        options.wallSeconds = { machine.clocks.wallMilliseconds() / 1000 }
        options.tokenLifetime = .seconds(plan.hub.tokenLifetime)
        var route = Route(host: Self.host, port: 5672)
        route.connector = machine.connector
        let hub = LocalHubConfiguration()
        let endpoint = EventHubEndpoint(
            host: Self.host, hub: hub.hubName, route: route,
            credential: .sharedKey(name: hub.sharedAccessKeyName, key: Self.key))
        var settings = EventHubsOutputSettings(name: name, connectionString: nil)
        settings.idempotent = plan.isExact ? .always : .never
        return EventHubsOutlet(settings, endpoint, options, eventLoop: machine.loop, logger: WorldLife.quiet)
    }

    /// Its one connection keeps timers on the loop for as long as it is there.
    func leftovers(of way: EventHubsOutlet) -> String? { nil }

    func ids(in batch: EventHubsDestination.Batch) -> [UInt64] {
        var payload = batch.payload
        return Self.records(of: &payload).map(\.id)
    }
}
