import Logging
import TailraceDelivery
import TailraceSpool
import TestSupport

/// Who is told what a process does.
protocol WorldEvents: AnyObject {
    func noteCommit(_ end: UInt64)
    func noteRelease(_ floor: UInt64)
    func noteAppend(_ records: [WorldRecord], first: UInt64, position: Int?)
    /// The service has stored a record.
    func noteStore(_ record: Numbered)
    /// Whether the service has these was not known to who sent them.
    func excuse(_ ids: [UInt64])
    func note(_ what: StaticString, _ first: UInt64, _ second: UInt64, _ detail: @autoclosure () -> String)
    func violate(_ what: String)
    /// There is something to do, for anybody but who is having a turn.
    func wakeOthers()
}

/// The parts of one process: the real spool, ledger and drain, and an input and a way to the service that are not.
final class WorldLife {
    static let spoolDirectory = "/spool"
    private static let deadLetterDirectory = "/dead-letter"
    static let quiet = Logger(label: "world") { _ in SwiftLogNoOpLogHandler() }

    let spool: Spool
    let ledger: Ledger
    let output: any WorldOutput
    let input: WorldInput
    private let area: DeadLetterArea
    private let environment: SpoolEnvironment

    init(
        _ plan: WorldPlan, batches: Int, disk: SimulatedDisk, clocks: Clocks, service: any WorldService, seed: UInt64,
        isGone: @escaping () -> Bool, events: any WorldEvents
    ) throws {
        environment = SpoolEnvironment(disk: disk, clocks: clocks, hasThreads: false)
        nonisolated(unsafe) weak let events = events
        var configuration = SpoolConfiguration(directory: Self.spoolDirectory)
        configuration.environment = environment
        configuration.maximumSize = SpoolConfiguration.minimumSize
        configuration.segmentSize = plan.segmentSize
        configuration.spareLimit = plan.spareLimit
        configuration.queueLimit = plan.queueLimit
        configuration.groupByteLimit = plan.groupByteLimit
        if seed.isMultiple(of: 3) { configuration.writePieceLimit = 1 }
        configuration.sync = plan.sync
        configuration.verificationRate = plan.verificationRate
        configuration.verificationDelay = .zero
        configuration.onCommit = { events?.noteCommit($0) }
        let spool = try Spool.open(configuration, logger: Self.quiet)
        self.spool = spool
        do {
            ledger = try Ledger.open(
                directory: Self.spoolDirectory, name: "out.ledger", firstSequence: spool.statistics().firstSequence,
                environment: environment, logger: Self.quiet)
        } catch {
            spool.abandon()
            throw error
        }
        var random = SeededGenerator(seed: seed)
        input = WorldInput(
            plan.sources, spool, batches: batches, largestBody: plan.largestBody, writesIDs: plan.isWired,
            seed: random.next()
        ) {
            events?.noteAppend($0, first: $1, position: $2)
        }
        var settings = DrainConfiguration(name: "out") { key, partitions in (Int(key) ?? 0) % partitions }
        settings.key = .source
        settings.window = plan.window
        settings.retry = .init(first: .milliseconds(5), cap: .milliseconds(200))
        settings.memoryLimit = 16 << 10
        settings.laneLimit = 4 << 10
        let jitter = random.next()
        settings.random = { SeededGenerator(seed: jitter) }
        area = DeadLetterArea(
            output: settings.name, directory: Self.deadLetterDirectory, main: spool, logger: Self.quiet)
        do {
            output = try service.makeOutput(
                WorldProcess(
                    settings: settings, plan: plan, spool: spool, ledger: ledger, deadLetters: area, clocks: clocks,
                    isGone: isGone
                ) { floor in
                    events?.noteRelease(floor)
                    spool.release(below: floor)
                })
        } catch {
            ledger.close()
            spool.abandon()
            throw error
        }
    }

    /// All that was brought is durable, delivered and noted.
    var isDrained: Bool {
        let now = spool.statistics()
        guard input.isOver, now.committed == now.nextSequence else { return false }
        return output.statistics?.floor == now.nextSequence && spool.flush() && ledger.flush()
    }

    func close() {
        area.close()
        ledger.close()
        spool.close()
    }

    /// What is left when the process is no more: nothing that it does has an effect.
    func abandon() {
        area.close()
        spool.abandon()
        ledger.close()
        output.abandon()
    }

    // MARK: After the end

    /// By source.
    func durablePositions() -> [Int: Int] { WorldInput.decode(spool.positions()) }

    func deadLetters() -> [WorldRecord] {
        var configuration = SpoolConfiguration(directory: Self.deadLetterDirectory)
        configuration.environment = environment
        guard let spool = try? Spool.open(configuration, logger: Self.quiet) else { return [] }
        defer { spool.close() }
        return Self.records(of: spool).map(\.record)
    }

    /// All that the spool holds.
    func records() -> [Numbered] { Self.records(of: spool) }

    static func records(of spool: Spool) -> [Numbered] {
        var records: [Numbered] = []
        guard let reader = try? spool.reader(from: spool.statistics().firstSequence) else { return [] }
        while let frame = try? reader.next() { records += Self.records(of: frame) }
        return records
    }

    static func records(of frame: SpoolFrame) -> [Numbered] {
        (frame.startIndex..<frame.recordCount).compactMap { index in
            WorldRecord(frame.body(index)).map { Numbered(id: frame.firstSequence + UInt64(index), record: $0) }
        }
    }
}
