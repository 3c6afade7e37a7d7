import Glibc
import Logging
import TailraceDelivery
import TailraceSpool
import TestSupport

/// How a world went.
package struct WorldResult: Sendable {
    package var seed: UInt64
    package var violations: [String]
    /// The same for the same seed.
    package var hash: UInt64
    package var steps: Int
    package var records: Int
    package var lives: Int
    package var diskFailures: Int
    package var kind: WorldKind

    /// Reruns it.
    package var command: String {
        let (variable, suite) =
            switch kind {
            case .plain: ("WORLD", "WorldTests")
            case .storm: ("STORM", "WorldTests")
            case .wire: ("WIRE_WORLD", "WireWorldTests")
            case .wireStorm: ("WIRE_STORM", "WireWorldTests")
            case .pulsar: ("PULSAR_WORLD", "PulsarWorldTests")
            case .pulsarStorm: ("PULSAR_STORM", "PulsarWorldTests")
            }
        return "TAILRACE_\(variable)=\(seed) Tests/run --filter CrashTests.\(suite)"
    }
}

/// A spool, a ledger and a drain on a simulated disk and clock, with a service in memory or behind a network, from one seed:
/// their processes are killed, their machine loses its power, their disk fails and their service misbehaves; at the end all
/// troubles are lifted, and what must have arrived must have arrived. One thread runs everything.
package final class World {
    private let seed: UInt64
    private let kind: WorldKind
    private let plan: WorldPlan
    private var random: SeededGenerator
    private let disk: SimulatedDisk
    private let service: any WorldService
    private let actors: Actors
    private let clocks: Clocks
    private var expectations: Expectations
    private var trace: WorldTrace
    private var life: WorldLife?
    /// Raised when the present process is no more.
    private var isGone = Flag()
    private var lives = 0
    /// Records that the present process did not find when all of the spool was read at its beginning.
    private var missing: UInt64 = 0
    private var diesAtCall: Int?
    private var diesWithPower = false
    /// The last process ended in peace: its ledger knows all that it heard.
    private var endedInPeace = false

    package static func run(seed: UInt64, kind: WorldKind = .plain, prints: Bool = false) -> WorldResult {
        World(seed: seed, kind: kind, prints: prints).run()
    }

    private init(seed: UInt64, kind: WorldKind, prints: Bool) {
        self.seed = seed
        self.kind = kind
        random = SeededGenerator(seed: seed)
        // Growth has dice of its own, so that worlds of old seeds stay as they were.
        var dice = SeededGenerator(seed: ~seed)
        var plan = WorldPlan(&random)
        plan.addGrowth(&dice)
        if kind.isStorm { plan.addStorm(&dice) }
        let wire = kind.wire.map { WirePlan($0, &plan, &dice) }
        self.plan = plan
        disk = SimulatedDisk(seed: random.next())
        let serviceSeed = random.next()
        let actors = Actors(seed: random.next())
        self.actors = actors
        let beginning = ContinuousClock.now
        nonisolated(unsafe) let clock = actors
        clocks = Clocks(
            nanoseconds: { clock.now }, instant: { beginning.advanced(by: .nanoseconds(Int64(clock.now))) },
            wallMilliseconds: { 1_700_000_000_000 + Int64(clock.now / 1_000_000) })
        if let wire {
            service = wire.makeService(partitions: plan.partitions, clocks: clocks, seed: serviceSeed)
        } else {
            service = SimulatedService(plan.kind, partitions: plan.partitions, seed: serviceSeed)
        }
        expectations = Expectations(isExact: service.isExact)
        trace = WorldTrace(prints: prints)
        if prints { print(plan, wire.map { "\($0)" } ?? "") }
    }

    /// Nanoseconds: what is in flight gets five seconds, the connections two, and what others do meanwhile takes time too.
    private static let stopLimit: UInt64 = 8_000_000_000
    /// With a service and a network that behave: the longest waits there are, one behind the other.
    private static let lastLimit: UInt64 = 600_000_000_000

    // MARK: - The course of the world

    private func run() -> WorldResult {
        watch()
        for life in plan.lives { run(life) }
        runLast()
        disk.onCall = nil
        disk.onResult = nil
        for violation in service.close() { expectations.violate(violation) }
        actors.removeAll()
        return WorldResult(
            seed: seed, violations: expectations.violations, hash: trace.hash, steps: actors.steps,
            records: Int(expectations.promised), lives: lives, diskFailures: disk.failures,
            kind: kind)
    }

    private func watch() {
        disk.onCall = { [unowned self] operation, path in
            if let at = diesAtCall, disk.calls >= at, !disk.isDead { die(withPower: diesWithPower) }
            guard plan.interleaving > 0, !disk.isDead, life != nil else { return }
            if Int.random(in: 0..<100, using: &random) < plan.interleaving { actors.interlude() }
        }
        disk.onResult = { [unowned self] operation, path, result in
            trace.note(actors.now, "disk", "\(operation.rawValue) \(path)", result)
            if DiskTrouble.changes.contains(operation) { actors.wakeOthers() }
        }
        service.watch(self)
        actors.onStep = { [unowned self] name in trace.note(actors.now, name) }
    }

    private func die(withPower: Bool) {
        trace.note(actors.now, "the end of the process", withPower ? 1 : 0)
        if withPower { disk.cutPower() } else { disk.kill() }
        service.forgetSender(withPower: withPower)
    }

    private func run(_ plan: WorldPlan.Life) {
        lives += 1
        service.behave(plan)
        diesAtCall = plan.endsAtCall.map { disk.calls + $0 }
        diesWithPower = plan.end == .powerCut
        disk.trouble = plan.troubled.contains(0) ? plan.trouble : DiskTrouble()
        grow(plan, at: 0)
        guard begin(batches: plan.batches) else { return end() }
        for step in 0..<plan.steps where !disk.isDead {
            if step > 0 { grow(plan, at: step) }
            service.pass(step: step)
            if step == plan.troubled.lowerBound, step < plan.troubled.upperBound { disk.trouble = plan.trouble }
            if step == plan.troubled.upperBound { disk.trouble = DiskTrouble() }
            if Int.random(in: 0..<50, using: &random) == 0 { disk.writeBack() }
            guard actors.stepOne() else { break }
            checkBalance()
        }
        if plan.end == .stop, !disk.isDead { stop() }
        if !disk.isDead, plan.end != .stop { die(withPower: plan.end == .powerCut) }
        end()
    }

    /// The service gets more partitions, and whoever asks hears of it.
    private func grow(_ plan: WorldPlan.Life, at step: Int) {
        guard let growth = plan.growth, growth.step == step else { return }
        service.grow(by: growth.partitions)
        trace.note(actors.now, "the service has more partitions", UInt64(service.partitionCount))
        life?.output.lookForPartitions()
        actors.wakeOthers()
    }

    /// A life without trouble, in which everything arrives.
    private func runLast() {
        service.behave(nil)
        disk.trouble = DiskTrouble()
        diesAtCall = nil
        lives += 1
        guard begin(batches: 2) else { return expectations.violate("it cannot be opened without any trouble") }
        let beginning = actors.now
        var left = 20_000 * service.effort
        while let life, !life.isDrained, left > 0, actors.stepOne() {
            left -= 1
            checkBalance()
        }
        guard let life, life.isDrained else {
            return expectations.violate(
                "it stands still: \(life?.output.statistics.map { "\($0)" } ?? "no drain")")
        }
        if plan.isWired, actors.now - beginning > Self.lastLimit {
            expectations.violate("it stood still for \((actors.now - beginning) / 1_000_000_000) s")
        }
        stop()
        checkFiles()
        let dead = disk.failures == 0 ? life.deadLetters() : nil
        let positions = life.durablePositions()
        end()
        expectations.finish(
            plan, positions: positions, partitions: (0..<service.partitionCount).map { service.stored($0) }, dead: dead)
    }

    // MARK: - A process

    /// False when the process could not be started, or did not live to be.
    private func begin(batches: Int) -> Bool {
        disk.restart()
        let isGone = Flag()
        self.isGone = isGone
        let effort = StartEffort(disk)
        do {
            life = try WorldLife(
                plan, batches: batches, disk: disk, clocks: clocks, service: service, seed: random.next(),
                isGone: { [disk] in disk.isDead || isGone.value }, events: self)
        } catch {
            trace.note(actors.now, "it could not be opened", 0, 0, "\(error)")
            if disk.trouble.chance == 0, !disk.isDead { expectations.violate("it could not be opened: \(error)") }
            return false
        }
        guard !disk.isDead, let life else { return false }
        if let excess = effort.excess() { expectations.violate(excess) }
        let trouble = disk.trouble
        disk.trouble = DiskTrouble()
        let now = life.spool.statistics()
        let records = life.records()
        missing = life.spool.statistics().quarantinedRecords
        guard !disk.isDead else { return false }
        expectations.open(records, first: now.firstSequence, next: now.nextSequence)
        disk.trouble = trouble
        resume(life.ledger.state)
        for (source, what) in plan.sources.enumerated() where what.isDelayable {
            expectations.resume(source: source, position: life.input.positions[source])
        }
        let weights = (0..<5).map { _ in [1, 4, 16].randomElement(using: &random) ?? 1 }
        actors.add("input", weight: weights[0]) { life.input.step(now: self.actors.now) }
        actors.add("writer", weight: weights[1]) { life.spool.step() }
        actors.add("ledger", weight: weights[2]) { life.ledger.step() }
        actors.add("drain", weight: weights[3]) {
            switch life.output.step() {
            case .again: return .again
            case .wait(let until):
                return .wait(until: until.map(self.nanoseconds))
            case .ended: return .ended
            }
        }
        service.join(actors, weight: weights[4])
        if plan.verificationRate > 0 { actors.add("verifier", weight: 1) { life.spool.verify() } }
        return true
    }

    /// What the ledger does not know to be acknowledged may come again, with a service that is not asked.
    private func resume(_ ledger: LedgerState) {
        expectations.resume(floor: ledger.floor)
        defer { endedInPeace = false }
        guard !endedInPeace else { return }
        for partition in 0..<service.partitionCount {
            let acknowledged =
                partition < ledger.partitions.count ? ledger.partitions[partition].acknowledged : ledger.floor
            expectations.excuse(Set(service.stored(partition).lazy.map(\.id)).filter { $0 >= acknowledged })
        }
    }

    /// The time of the world at `instant`; what lies between two nanoseconds counts as the later.
    private func nanoseconds(_ instant: ContinuousClock.Instant) -> UInt64 {
        let (seconds, attoseconds) = clocks.instant().duration(to: instant).components
        let away = seconds * 1_000_000_000 + (attoseconds + 999_999_999) / 1_000_000_000
        return UInt64(max(0, Int64(actors.now) + away))
    }

    /// As the command does: what is in flight may still be answered, then everything is written down.
    private func stop() {
        guard let life else { return }
        trace.note(actors.now, "stop")
        let failuresBefore = disk.failures
        let beginning = actors.now
        life.output.beginStop(within: .seconds(5))
        actors.wakeOthers()
        var left = 10_000 * service.effort
        while !life.output.hasEnded, !disk.isDead, left > 0 {
            if !actors.stepOne() { actors.pass(100_000_000) }
            left -= 1
        }
        if left == 0 { expectations.violate("the drain does not end") }
        if plan.isWired, actors.now - beginning > Self.stopLimit {
            expectations.violate("the stop took \((actors.now - beginning) / 1_000_000) ms")
        }
        checkBalance()
        guard !disk.isDead else { return }
        life.close()
        endedInPeace = !disk.isDead && disk.failures == failuresBefore
    }

    private func end() {
        actors.removeAll()
        // Nothing is spoiled here, and what is missing in the middle because it was removed was missing at the beginning.
        if let lost = life?.spool.statistics().quarantinedRecords, lost > missing {
            expectations.violate("\(lost - missing) records were taken for lost")
        }
        life?.abandon()
        life = nil
        if !disk.isDead {
            disk.kill()
            service.forgetSender(withPower: false)
        }
        expectations.processEnded()
        isGone.value = true
    }

    // MARK: - Checks

    /// Promise 7, for what the drain has read.
    private func checkBalance() {
        guard let life, actors.steps % 4 == 0 else { return }
        guard let now = life.output.statistics else { return }
        if !now.balances { expectations.violate("the drain's balance does not close: \(now)") }
    }

    /// When everything is acknowledged, one segment is left, which holds the positions.
    private func checkFiles() {
        let segments = disk.names(in: WorldLife.spoolDirectory).filter { $0.hasSuffix(".spool") }
        if segments.count > 1 { expectations.violate("\(segments.count) segments are left: \(segments)") }
    }
}

/// A truth that others hold on to.
private final class Flag {
    var value = false
}

extension World: WorldEvents {
    func noteCommit(_ end: UInt64) {
        guard !disk.isDead else { return }
        trace.note(actors.now, "durable", end)
        expectations.promise(below: end)
        actors.wakeOthers()
    }

    func noteRelease(_ floor: UInt64) {
        guard !disk.isDead else { return }
        trace.note(actors.now, "floor", floor)
        expectations.acknowledge(below: floor)
    }

    func noteStore(_ record: Numbered) {
        if plan.isWired { trace.note(actors.now, "stored", record.id, 0, "\(record.record)") }
        expectations.store(record)
    }
    func excuse(_ ids: [UInt64]) { expectations.excuse(ids) }
    func violate(_ what: String) { expectations.violate(what) }
    func wakeOthers() { actors.wakeOthers() }
    func note(_ what: StaticString, _ first: UInt64, _ second: UInt64, _ detail: @autoclosure () -> String) {
        trace.note(actors.now, what, first, second, detail())
    }

    func noteAppend(_ records: [WorldRecord], first: UInt64, position: Int?) {
        guard !disk.isDead, let record = records.first else { return }
        trace.note(actors.now, "append", first, UInt64(records.count), "from \(record)")
        expectations.give(records, first: first, position: position)
    }
}
