import Glibc
import Logging
import TailraceSpool
import TestSupport

/// Three short lives of a spool and a ledger on one disk. In the second a call to the disk goes wrong: that one alone, or all
/// later ones too that the same fault fits. Then the trouble is over, with or without the end of the process, and what was
/// promised must be there.
package struct FailingCall: Sendable, CustomStringConvertible {
    /// What the life with the fault finds.
    package enum Beginning: Sendable, CaseIterable {
        case emptyDisk
        /// A spool whose process was killed, with records that were never synced.
        case killedSpool
        /// The same, with a record in it that somebody wrote over.
        case damagedSpool
        /// The same, with a ledger that somebody wrote over.
        case damagedLedger
    }

    /// What follows the fault.
    package enum End: Sendable, CaseIterable {
        /// The trouble goes, and the process goes on; then the power goes.
        case recovery
        case stop, kill, powerCut
    }

    package var beginning: Beginning
    /// Of the call, from 1, among those of the second life.
    package var number: Int
    package var fault: DiskFault
    package var isForEver: Bool
    package var end: End

    package init(beginning: Beginning, number: Int, fault: DiskFault, isForEver: Bool, end: End) {
        self.beginning = beginning
        self.number = number
        self.fault = fault
        self.isForEver = isForEver
        self.end = end
    }

    package var description: String {
        "call \(number) of \(beginning): \(fault)\(isForEver ? ", for ever" : ""), then \(end)"
    }

    /// What goes wrong in these lives.
    package func violations() -> [String] {
        let run = FailingCallRun(beginning, seed: UInt64(number))
        run.begin()
        run.fail(number, fault, isForEver: isForEver)
        run.end(end)
        run.finish()
        return run.violations
    }

    /// The calls of the second life when nothing goes wrong; nil for those that only the test makes.
    package static func calls(_ beginning: Beginning) -> [SpoolFileOperation?] {
        let run = FailingCallRun(beginning, seed: 0)
        run.begin()
        run.fail(.max, .short, isForEver: false)
        return run.calls
    }
}

/// What the lives work with.
final class FailingCallRun {
    private static let quiet = Logger(label: "failing call") { _ in SwiftLogNoOpLogHandler() }
    private static let directory = "/spool"
    private static let ledger = "out.ledger"
    private static let batches = 14
    private static let padding = 700
    private static let retryInterval: UInt64 = 1_000_000_000

    private let beginning: FailingCall.Beginning
    private let disk: SimulatedDisk
    private let environment: SpoolEnvironment
    private let state: State
    private var life: Life?
    /// Of the life with the fault.
    private(set) var calls: [SpoolFileOperation?] = []

    /// What spool and ledger tell, and the time.
    private final class State {
        var now: UInt64 = 1_000_000_000
        var expectations = Expectations(isExact: false)
        /// The last floor that the ledger was told.
        var toldFloor: UInt64 = 0
    }

    /// Of the record that was damaged.
    private var lost: Range<UInt64> = 0..<0

    /// The parts of a process.
    private final class Life {
        let spool: Spool
        let ledger: Ledger
        let reader: SpoolReader
        /// Of the next record.
        var number: Int

        init(_ spool: Spool, _ ledger: Ledger, _ reader: SpoolReader, number: Int) {
            self.spool = spool
            self.ledger = ledger
            self.reader = reader
            self.number = number
        }
    }

    init(_ beginning: FailingCall.Beginning, seed: UInt64) {
        self.beginning = beginning
        disk = SimulatedDisk(seed: seed)
        nonisolated(unsafe) let state = State()
        self.state = state
        let dawn = ContinuousClock.now
        let clocks = Clocks(
            nanoseconds: { state.now }, instant: { dawn.advanced(by: .nanoseconds(Int64(state.now))) },
            wallMilliseconds: { 1_700_000_000_000 })
        environment = SpoolEnvironment(disk: disk, clocks: clocks, hasThreads: false)
    }

    var violations: [String] { state.expectations.violations }

    private func violate(_ what: String) { state.expectations.violate(what) }

    // MARK: - The lives

    func begin() {
        guard beginning != .emptyDisk else { return }
        open(isTroubled: false)
        fill(8)
        // The end comes when records are written and not synced.
        disk.onCall = { [unowned self] operation, path in
            if operation == .sync, path.hasSuffix(".spool") { disk.kill() }
        }
        fill(1)
        disk.onCall = nil
        if !disk.isDead { violate("the first life did not end") }
        let last = (life?.number ?? 0) - 1
        bury()
        switch beginning {
        case .emptyDisk, .killedSpool: break
        // The last one was never synced; those before it are not acknowledged.
        case .damagedSpool: damageRecord(last - 2)
        case .damagedLedger:
            let path = "\(Self.directory)/\(Self.ledger)"
            disk.spoil(path, at: 0, [UInt8](repeating: 0xA5, count: disk.contents(path)?.count ?? 0))
            state.expectations.loseLedger()
        }
    }

    /// Its id is its number: no life before has left one out.
    private func damageRecord(_ number: Int) {
        let body = WorldRecord(source: 0, number: number, isPoison: false).body(padding: Self.padding)
        for name in disk.names(in: Self.directory) where name.hasSuffix(".spool") {
            let path = "\(Self.directory)/\(name)"
            guard let place = disk.contents(path)?.firstRange(of: body) else { continue }
            disk.spoil(path, at: place.lowerBound + 20, [0xA5])
            lost = UInt64(number)..<UInt64(number + 1)
        }
        if lost.isEmpty { violate("record \(number) is in no segment") }
        state.expectations.lose(lost)
    }

    func fail(_ number: Int, _ fault: DiskFault, isForEver: Bool) {
        let first = disk.calls
        disk.onCall = { [unowned self] operation, _ in calls.append(isLooking ? nil : operation) }
        if number < .max { disk.trouble.nth = .init(number: first + number, fault: fault, isForEver: isForEver) }
        open(isTroubled: true)
        fill(Self.batches)
        disk.onCall = nil
    }

    func end(_ end: FailingCall.End) {
        if end == .recovery {
            disk.trouble = DiskTrouble()
            state.now += 2 * Self.retryInterval
            fill(3)
            checkIsDurable()
        }
        if end == .stop {
            life?.ledger.close()
            life?.spool.close()
        }
        disk.trouble = DiskTrouble()
        switch end {
        case .stop, .kill: disk.kill()
        case .recovery, .powerCut: disk.cutPower()
        }
        bury()
    }

    func finish() {
        open(isTroubled: false)
        fill(3)
        checkIsDurable()
        state.expectations.checkArrivals(dead: nil)
    }

    private func bury() {
        life?.spool.abandon()
        life?.ledger.close()
        life = nil
        disk.restart()
        state.expectations.processEnded()
    }

    // MARK: - What a process does

    private func open(isTroubled: Bool) {
        var configuration = SpoolConfiguration(directory: Self.directory)
        configuration.environment = environment
        configuration.segmentSize = 4096
        configuration.maximumSize = SpoolConfiguration.minimumSize
        configuration.spareLimit = 1
        configuration.retryInterval = .nanoseconds(Int64(Self.retryInterval))
        nonisolated(unsafe) let state = state
        configuration.onCommit = { state.expectations.promise(below: $0) }
        do {
            let spool = try Spool.open(configuration, logger: Self.quiet)
            do {
                let ledger = try Ledger.open(
                    directory: Self.directory, name: Self.ledger, firstSequence: spool.statistics().firstSequence,
                    environment: environment, logger: Self.quiet)
                let reader = try spool.reader(from: max(ledger.state.floor, spool.statistics().firstSequence))
                ledger.tellDurable { [weak spool] floor in
                    state.expectations.acknowledge(below: floor)
                    spool?.release(below: floor)
                }
                look { check(spool, ledger) }
                life = Life(spool, ledger, reader, number: WorldInput.decode(spool.positions())[0] ?? 0)
            } catch {
                spool.abandon()
                throw error
            }
        } catch {
            // It said so; what the next life finds is what counts.
            if !isTroubled { violate("it cannot be opened without trouble: \(error)") }
        }
    }

    /// Brings records, delivers them, acknowledges most, and lets time go by.
    private func fill(_ batches: Int) {
        guard let life else { return }
        for count in 1...batches where !disk.isDead {
            append(life)
            settle(life)
            deliver(life)
            guard count % 3 == 0 else { continue }
            var told = life.ledger.state
            told.floor = max(told.floor, life.reader.nextSequence - min(life.reader.nextSequence, 2))
            state.toldFloor = max(state.toldFloor, told.floor)
            try? life.ledger.update(told)
            settle(life)
        }
    }

    private func append(_ life: Life) {
        let record = WorldRecord(source: 0, number: life.number, isPoison: false)
        let body = record.body(padding: Self.padding)
        let batch = RecordBatch(capacity: body.count)
        guard let start = body.withUnsafeBytes(batch.copyIn) else { preconditionFailure("the batch has room") }
        batch.append(RecordEntry(start: start, length: UInt32(body.count)))
        batch.context = RecordContext(host: "h", source: "s", input: "i").encoded
        batch.position = SourcePosition(source: SourceKey([0]), value: WorldInput.encode(life.number + 1))
        let first = life.spool.statistics().nextSequence
        guard life.spool.tryAppend(batch) else { return }
        life.number += 1
        state.expectations.give([record], first: first, position: life.number)
    }

    private func settle(_ life: Life) {
        for _ in 0..<3 {
            while case .again = life.spool.step() {}
            while case .again = life.ledger.step() {}
            state.now += Self.retryInterval / 2
        }
    }

    private func deliver(_ life: Life) {
        do {
            while !disk.isDead, let frame = try life.reader.next() {
                for numbered in WorldLife.records(of: frame) { state.expectations.store(numbered) }
            }
        } catch {
            // Tried again with the next records.
        }
    }

    // MARK: - Checks

    private var isLooking = false

    /// Without the trouble.
    private func look(_ body: () -> Void) {
        let trouble = disk.trouble
        disk.trouble = DiskTrouble()
        isLooking = true
        body()
        isLooking = false
        disk.trouble = trouble
    }

    private func check(_ spool: Spool, _ ledger: Ledger) {
        let now = spool.statistics()
        let records = WorldLife.records(of: spool)
        state.expectations.open(records, first: now.firstSequence, next: now.nextSequence)
        checkDamage(spool)
        let position = WorldInput.decode(spool.positions())[0]
        state.expectations.resume(source: 0, position: position)
        if let last = records.last, position != last.record.number + 1 {
            violate("the position is \(position ?? 0), the last record \(last.record)")
        }
        let floor = ledger.state.floor
        state.expectations.excuse(from: floor)
        state.expectations.resume(floor: floor)
        if floor > max(state.toldFloor, now.firstSequence) {
            violate("the ledger is at \(floor), which nobody told it")
        }
    }

    /// What is damaged counts once at most, and nothing else does.
    private func checkDamage(_ spool: Spool) {
        let counted = spool.statistics().quarantinedRecords
        if counted > lost.count || spool.recovery.lostRecords > lost.count {
            violate("\(counted) records count as damaged, of \(lost.count)")
        }
    }

    /// There is no trouble any more, and the process has had time to notice.
    private func checkIsDurable() {
        guard let life else { return }
        if !life.spool.flush() || !life.ledger.flush() { violate("without trouble nothing gets durable") }
        deliver(life)
        let now = life.spool.statistics()
        if now.trouble != nil || now.committed != now.nextSequence { violate("without trouble there is some: \(now)") }
        if life.reader.nextSequence != now.committed { violate("not everything can be read: \(now)") }
        checkDamage(life.spool)
        let segments = disk.names(in: Self.directory).filter { $0.hasSuffix(".spool") }
        if segments.count != now.segments { violate("\(segments) are there, \(now.segments) are known") }
    }
}
