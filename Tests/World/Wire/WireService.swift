import TailraceAgent
import TailraceSpool
import TestSupport

/// A service behind a network, on a loop that the seed decides. Its process ends now and then, and comes back.
///
/// Used on one thread: hence `@unchecked Sendable`.
final class WireService<Server: WireServer>: WorldService, @unchecked Sendable {
    let network: SimulatedNetwork
    private let server: Server
    private let clocks: Clocks
    private let dice: WireDice
    private var manners = WireManners()
    /// Of the present process.
    private var loop: SimulatedLoop?
    /// When it comes back.
    private var returnsAt: UInt64?
    private var violations: [String] = []
    private weak var events: (any WorldEvents)?
    private weak var output: WireOutput<Server.Way>?

    init(_ plan: WirePlan, _ server: Server, _ dice: WireDice, clocks: Clocks) {
        self.clocks = clocks
        self.dice = dice
        self.server = server
        network = SimulatedNetwork(seed: dice.next(), window: plan.window, mark: plan.mark, clock: clocks.nanoseconds)
        network.isOrderly = server.isOrderly
        start()
    }

    var isExact: Bool { server.isExact }
    var effort: Int { WirePlan.effort }
    var partitionCount: Int { server.partitionCount }
    func stored(_ partition: Int) -> [Numbered] {
        partition < server.partitions.count ? server.partitions[partition] : []
    }

    // MARK: - The service's process

    private func start() {
        returnsAt = nil
        let loop = SimulatedLoop(seed: dice.next(), clock: clocks.nanoseconds)
        do {
            let accept = try server.start(loop)
            loop.onWork = { [unowned self] in events?.wakeOthers() }
            self.loop = loop
            network.server = (loop, accept)
        } catch {
            violations.append("the service cannot be opened: \(error)")
        }
    }

    private func end(withPower: Bool, pause: UInt64) {
        guard let loop else { return }
        events?.note("the end of the service", withPower ? 1 : 0, pause, "")
        self.loop = nil
        network.serverEnded(withPower: withPower)
        server.abandon(withPower: withPower)
        loop.onWork = nil
        if !loop.runOut() { violations.append("something of the service does not end with its connections") }
        returnsAt = clocks.nanoseconds() + pause
        events?.wakeOthers()
    }

    private func keep() -> StepResult<UInt64> {
        guard let returnsAt else { return .wait(until: nil) }
        guard returnsAt <= clocks.nanoseconds() else { return .wait(until: returnsAt) }
        start()
        events?.note("the service is there", 0, 0, "")
        return .again
    }

    // MARK: - For its world

    func watch(_ events: any WorldEvents) {
        self.events = events
        server.events = events
        server.onResend = { [unowned self] in output?.forget() }
        nonisolated(unsafe) weak let told = events
        network.onEvent = { what, connection, count in
            told?.note(what, UInt64(connection), UInt64(bitPattern: Int64(count)), "")
        }
    }

    func behave(_ life: WorldPlan.Life?) {
        manners = life?.wire ?? WireManners()
        server.manners = manners
        network.weather = manners.weather
        if loop == nil { start() }
    }

    func grow(by count: Int) {
        guard server.grow(by: count) else { return }
        end(withPower: false, pause: 0)
        start()
    }

    func pass(step: Int) {
        for event in manners.events where event.step == step {
            if loop != nil { server.meet(event) }
        }
        guard let end = manners.ends.first(where: { $0.step == step }) else { return }
        self.end(withPower: end.withPower, pause: end.pause)
    }

    func join(_ actors: Actors, weight: Int) {
        actors.add("network", weight: weight) { self.network.step() }
        actors.add("service's loop", weight: weight) { self.loop?.step() ?? .wait(until: nil) }
        actors.add("service", weight: weight) { self.loop == nil ? .wait(until: nil) : self.server.work() }
        actors.add("keeper", weight: 1) { self.keep() }
        guard let output else { return }
        actors.add("loop", weight: weight) { output.loop.step() }
        actors.add("tasks", weight: weight) { output.tasks.step() }
    }

    func makeOutput(_ process: WorldProcess) throws -> any WorldOutput {
        let loop = SimulatedLoop(seed: dice.next(), clock: clocks.nanoseconds)
        let network = network
        let machine = WireMachine(loop: loop, tasks: SimulatedTasks(), clocks: clocks) { host, _, timeout, _ in
            network.connect(loop, to: host, timeout: timeout)
        }
        let output = WireOutput(
            try server.outlet(process.settings.name, machine), process, machine, seed: dice.next(), events: events,
            sent: { [server] in server.ids(in: $0) }, leftovers: { [server] in server.leftovers(of: $0) },
            disconnect: { network.clientsEnded(withPower: false) })
        self.output = output
        return output
    }

    func forgetSender(withPower: Bool) {
        output?.forget()
        network.clientsEnded(withPower: withPower)
        if loop != nil { server.clientEnded() }
    }

    func close() -> [String] {
        end(withPower: false, pause: 0)
        network.onEvent = nil
        network.server = nil
        return violations + server.violations
    }
}

extension WirePlan {
    func makeService(partitions: Int, clocks: Clocks, seed: UInt64) -> any WorldService {
        let dice = WireDice(seed: seed)
        switch kind {
        case .hub:
            return WireService(
                self, HubServer(self, partitions: partitions, clocks: clocks, dice), dice, clocks: clocks)
        case .pulsar: return WireService(self, BrokerServer(self, partitions: partitions, dice), dice, clocks: clocks)
        }
    }
}
