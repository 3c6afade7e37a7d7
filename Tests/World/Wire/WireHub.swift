import AMQP
import EventHubs
import LocalHub
import Logging
import NIOCore
import TailraceAgent
import TailraceDelivery
import TailraceSpool
import TestSupport
import Transports

/// An event hub behind a network: the project's own, on a disk, a loop and a network that the seed decides. Its process ends
/// now and then, and comes back.
///
/// Used on one thread: hence `@unchecked Sendable`.
final class WireHub: WorldService, @unchecked Sendable {
    private static let key = "a key of no use"
    private static let host = "hub.example"

    let plan: WirePlan
    let network: SimulatedNetwork
    private let clocks: Clocks
    private let disk: SimulatedDisk
    private var random: SeededGenerator
    private var manners = WireManners()
    private(set) var partitionCount: Int
    private var running: (hub: LocalHub, loop: SimulatedLoop)?
    /// When it comes back.
    private var returnsAt: UInt64?
    /// What each partition has, as far as it was read.
    private var partitions: [[Numbered]] = []
    private var violations: [String] = []
    private weak var events: (any WorldEvents)?
    private weak var output: WireOutput<EventHubsOutlet>?

    init(_ plan: WirePlan, partitions count: Int, clocks: Clocks, seed: UInt64) {
        self.plan = plan
        self.clocks = clocks
        random = SeededGenerator(seed: seed)
        partitionCount = count
        disk = SimulatedDisk(seed: random.next())
        network = SimulatedNetwork(
            seed: random.next(), window: plan.window, mark: plan.mark, clock: clocks.nanoseconds)
        // What comes late to a hub that counts anew nobody can know of.
        network.isOrderly = plan.isIdempotent && plan.countsAnew
        start()
    }

    var isExact: Bool { plan.isIdempotent }
    var effort: Int { WirePlan.effort }
    func stored(_ partition: Int) -> [Numbered] { partition < partitions.count ? partitions[partition] : [] }

    // MARK: - The hub's process

    private func start() {
        disk.restart()
        returnsAt = nil
        var configuration = LocalHubConfiguration()
        configuration.isPlain = true
        configuration.storeDirectory = "/hub"
        configuration.environment = SpoolEnvironment(disk: disk, clocks: clocks, hasThreads: false)
        configuration.partitionCount = partitionCount
        configuration.sharedAccessKey = Self.key
        configuration.segmentSize = 64 << 10
        configuration.sync = .always
        configuration.maximumMessageSize = plan.maximumMessageSize
        configuration.maximumFrameSize = plan.maximumFrameSize
        configuration.idleTimeOut = plan.idleTimeOut
        configuration.linkCredit = plan.linkCredit
        configuration.supportsIdempotentPublishing = plan.isIdempotent
        configuration.countsAnewPerOwnerLevel = plan.countsAnew
        configuration.newProducerID = { [unowned self] in Int64.random(in: 1 << 40 ... .max, using: &random) }
        configuration.onDelivery = { [unowned self] in fault(in: $0) }
        configuration.onAttach = { [unowned self] in fault(in: $0) }
        configuration.onToken = { [unowned self] _ in tokenFault() }
        do {
            let hub = try LocalHub(configuration, logger: WorldLife.quiet)
            let loop = SimulatedLoop(seed: random.next(), clock: clocks.nanoseconds)
            loop.onWork = { [unowned self] in events?.wakeOthers() }
            running = (hub, loop)
            network.server = (loop, { try hub.serve($0) })
            readStored()
        } catch {
            violations.append("the hub cannot be opened: \(error)")
        }
    }

    private func end(withPower: Bool, pause: UInt64) {
        guard let (hub, loop) = running else { return }
        events?.note("the end of the hub", withPower ? 1 : 0, pause, "")
        running = nil
        network.serverEnded(withPower: withPower)
        if withPower { disk.cutPower() } else { disk.kill() }
        hub.abandon()
        loop.onWork = nil
        if !loop.runOut() { violations.append("something of the hub does not end with its connections") }
        returnsAt = clocks.nanoseconds() + pause
        events?.wakeOthers()
    }

    private func keep() -> StepResult<UInt64> {
        guard let returnsAt else { return .wait(until: nil) }
        guard returnsAt <= clocks.nanoseconds() else { return .wait(until: returnsAt) }
        start()
        events?.note("the hub is there", 0, 0, "")
        return .again
    }

    private func work() -> StepResult<UInt64> {
        guard let hub = running?.hub else { return .wait(until: nil) }
        defer { readStored() }
        return hub.step()
    }

    /// What has become durable since the last time.
    private func readStored() {
        guard let hub = running?.hub else { return }
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

    private func happens(_ chance: Int) -> Bool {
        chance > 0 && Int.random(in: 0..<1000, using: &random) < chance
    }

    private func time(upTo limit: TimeAmount) -> TimeAmount {
        .nanoseconds(Int64.random(in: 0...limit.nanoseconds, using: &random))
    }

    private func cut() -> HubFault.Cut {
        let error = AMQPError(
            ["amqp:link:detach-forced", "amqp:internal-error", "com.microsoft:server-busy", "amqp:connection:forced"]
                .randomElement(using: &random) ?? "", "as the seed says")
        switch Int.random(in: 0..<4, using: &random) {
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
        if happens(manners.refusals) {
            events?.note("refused for now", UInt64(delivery.partition), UInt64(delivery.events), "")
            switch Int.random(in: 0..<5, using: &random) {
            case 0: return .answer(.rejected(AMQPError("com.microsoft:server-busy", "busy")))
            case 1: return .answer(.released)
            case 2:
                return .answer(.modified(deliveryFailed: true, undeliverableHere: false, annotations: AMQPMap()))
            case 3: return .answer(.rejected(AMQPError("com.microsoft:timeout", "timed out")))
            default: return .answer(.rejected(AMQPError("amqp:internal-error", "an error")))
            }
        }
        if happens(manners.cuts) {
            let isStored = Bool.random(using: &random)
            events?.note("cut", UInt64(delivery.partition), isStored ? 1 : 0, "")
            return isStored ? .storeThenEnd(cut()) : .end(cut())
        }
        if happens(manners.silences) {
            events?.note("silence", UInt64(delivery.partition), 0, "")
            return .silence
        }
        if happens(manners.delays) {
            let isLong = Int.random(in: 0..<10, using: &random) == 0
            return .delay(time(upTo: isLong ? .seconds(90) : .milliseconds(300)))
        }
        return nil
    }

    private func isPoisoned(_ message: ByteBuffer) -> Bool {
        var message = message
        return Self.records(of: &message).contains(where: \.record.isPoison)
    }

    private func fault(in attach: HubAttach) -> HubAttachFault? {
        guard happens(manners.attaches) else { return nil }
        events?.note("link refused", UInt64(attach.number), 0, "\(attach)")
        switch Int.random(in: 0..<6, using: &random) {
        case 0: return .refuse(AMQPError("com.microsoft:server-busy", "busy"))
        case 1: return .refuse(AMQPError("amqp:internal-error", "an error"))
        case 2: return .acceptThenEnd(cut())
        case 3: return .delay(time(upTo: .seconds(30)))
        case 4: return attach.kind == .producer ? .credit(UInt32.random(in: 0...3, using: &random)) : nil
        default: return .silence
        }
    }

    private func tokenFault() -> HubTokenFault? {
        guard happens(manners.tokens) else { return nil }
        events?.note("token refused", 0, 0, "")
        switch Int.random(in: 0..<4, using: &random) {
        case 0: return .answer(status: 401, text: "not now")
        case 1: return .answer(status: 503, text: "busy")
        case 2: return .delay(time(upTo: .seconds(40)))
        default: return .silence
        }
    }

    /// The records of a message, numbered or not, with their ids.
    static func records(of message: inout ByteBuffer) -> [Numbered] {
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

    // MARK: - For its world

    func watch(_ events: any WorldEvents) {
        self.events = events
        nonisolated(unsafe) weak let told = events
        network.onEvent = { what, connection, count in
            told?.note(what, UInt64(connection), UInt64(bitPattern: Int64(count)), "")
        }
    }

    func behave(_ life: WorldPlan.Life?) {
        manners = life?.wire ?? WireManners()
        network.weather = manners.weather
        if running == nil { start() }
    }

    func grow(by count: Int) {
        partitionCount += count
        end(withPower: false, pause: 0)
        start()
    }

    func pass(step: Int) {
        guard let end = manners.hubEnds.first(where: { $0.step == step }) else { return }
        self.end(withPower: end.withPower, pause: end.pause)
    }

    func join(_ actors: Actors, weight: Int) {
        actors.add("network", weight: weight) { self.network.step() }
        actors.add("hub's loop", weight: weight) { self.running?.loop.step() ?? .wait(until: nil) }
        actors.add("hub", weight: weight) { self.work() }
        actors.add("keeper", weight: 1) { self.keep() }
        guard let output else { return }
        actors.add("loop", weight: weight) { output.loop.step() }
        actors.add("tasks", weight: weight) { output.tasks.step() }
    }

    func makeOutput(_ process: WorldProcess) throws -> any WorldOutput {
        let loop = SimulatedLoop(seed: random.next(), clock: clocks.nanoseconds)
        var options = EventHubsOptions()
        let clocks = clocks
        options.wallSeconds = { clocks.wallMilliseconds() / 1000 }
        options.tokenLifetime = .seconds(plan.tokenLifetime)
        var route = Route(host: Self.host, port: 5672)
        let network = network
        route.connector = { _, _, timeout, _ in network.connect(loop, timeout: timeout) }
        let hub = LocalHubConfiguration()
        let endpoint = EventHubEndpoint(
            host: Self.host, hub: hub.hubName, route: route,
            credential: .sharedKey(name: hub.sharedAccessKeyName, key: Self.key))
        var settings = EventHubsOutputSettings(name: process.settings.name, connectionString: nil)
        settings.idempotent = plan.isIdempotent ? .always : .never
        let outlet = EventHubsOutlet(settings, endpoint, options, eventLoop: loop, logger: WorldLife.quiet)
        let output = WireOutput(
            outlet, process, loop: loop, seed: random.next(), events: events,
            sent: { batch in
                var payload = batch.payload
                return Self.records(of: &payload).map(\.id)
            },
            disconnect: { network.clientsEnded(withPower: false) })
        self.output = output
        return output
    }

    func forgetSender(withPower: Bool) {
        output?.forget()
        network.clientsEnded(withPower: withPower)
    }

    func close() -> [String] {
        end(withPower: false, pause: 0)
        network.onEvent = nil
        network.server = nil
        return violations
    }
}
