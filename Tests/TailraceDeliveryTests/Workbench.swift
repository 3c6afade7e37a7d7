import Logging
import Synchronization
import TailraceDelivery
import TailraceSpool
import TestSupport

/// A spool, a ledger and a drain in a directory; the processes of a test come and go, the directory stays.
final class Workbench {
    let directory = TemporaryDirectory("delivery")
    private(set) var spool: Spool
    private(set) var ledger: Ledger
    /// What the drain has told that it needs no more.
    private(set) var floor = Watched<UInt64>(0)
    private(set) var area: DeadLetterArea

    init() throws {
        spool = try Workbench.openSpool(directory)
        ledger = try Workbench.openLedger(directory, spool)
        area = Workbench.area(directory, spool)
    }

    deinit {
        area.close()
        ledger.close()
        spool.close()
    }

    private static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private static func area(_ directory: TemporaryDirectory, _ spool: Spool) -> DeadLetterArea {
        DeadLetterArea(output: "out", directory: directory("dead-letter"), main: spool, logger: quiet)
    }

    private static func openSpool(_ directory: TemporaryDirectory, minimumNextSequence: UInt64 = 0) throws -> Spool {
        var configuration = SpoolConfiguration(directory: directory("spool"))
        configuration.minimumNextSequence = minimumNextSequence
        configuration.segmentSize = 64 << 10
        configuration.maximumSize = 64 << 20
        configuration.sync = .never
        return try Spool.open(configuration, logger: quiet)
    }

    private static func openLedger(_ directory: TemporaryDirectory, _ spool: Spool) throws -> Ledger {
        try Ledger.open(
            directory: directory("spool"), name: "out.ledger", firstSequence: spool.statistics().firstSequence,
            logger: quiet)
    }

    /// Ends the process, as it were, and begins the next one.
    ///
    /// - Parameters:
    ///   - minimumNextSequence: above what was given out: the ids between are skipped.
    ///   - oldLedger: what a power cut left of the ledger (`ledgerBytes`); nil: all of it.
    func restart(minimumNextSequence: UInt64 = 0, oldLedger: [UInt8]? = nil) throws {
        area.close()
        ledger.close()
        spool.abandon()
        if let oldLedger { try ledgerFile(.readWrite).write(oldLedger, at: 0) }
        spool = try Self.openSpool(directory, minimumNextSequence: minimumNextSequence)
        ledger = try Self.openLedger(directory, spool)
        area = Self.area(directory, spool)
        floor = Watched(0)
    }

    private func ledgerFile(_ mode: SpoolFile.Mode) throws -> SpoolFile {
        try SpoolDirectory(path: directory("spool")).open("out.ledger", mode)
    }

    /// The ledger's file as it is now.
    func ledgerBytes() throws -> [UInt8] {
        let file = try ledgerFile(.read)
        return try file.read(file.size(), at: 0)
    }

    /// One frame of one source, durable when this returns.
    func append(_ bodies: [[UInt8]], source: String) throws {
        let batch = RecordBatch(capacity: max(64, bodies.reduce(0) { $0 + $1.count }))
        for body in bodies {
            guard let start = body.withUnsafeBytes(batch.copyIn) else { preconditionFailure("capacity") }
            batch.append(RecordEntry(start: start, length: UInt32(body.count)))
        }
        batch.context = RecordContext(host: "host", source: source, input: "test").encoded
        try spool.append(batch)
        spool.flush()
    }

    func append(_ texts: [String], source: String) throws {
        try append(texts.map { Array($0.utf8) }, source: source)
    }

    /// Routes source "p3/anything" to partition 3 (modulo the count).
    static func partition(_ key: String, _ count: Int) -> Int {
        (Int(key.dropFirst().prefix { $0.isNumber }) ?? 0) % count
    }

    func drain<Hub: Destination>(
        _ hub: Hub, _ change: (inout DrainConfiguration) -> Void = { _ in }
    ) throws -> Drain<Hub> {
        var configuration = DrainConfiguration(name: "out", partition: Self.partition)
        configuration.key = .source
        configuration.retry = .init(first: .microseconds(100), cap: .milliseconds(1))
        configuration.ledgerInterval = .milliseconds(1)
        change(&configuration)
        return try Drain(
            configuration, destination: hub, spool: spool, ledger: ledger,
            deadLetters: area, logger: Self.quiet,
            release: { [floor, spool] in
                let new = $0
                floor.update { $0 = new }
                spool.release(below: new)
            })
    }

    struct DeadLetter: Equatable {
        var body: String
        var source: String
        var sequence: Int64
        var reason: String
    }

    /// Ends the area; all that it ever had, unless its segment is gone.
    func deadLetters() throws -> [DeadLetter] {
        area.close()
        area = Self.area(directory, spool)
        let spool = try Spool.open(SpoolConfiguration(directory: directory("dead-letter")), logger: Self.quiet)
        defer { spool.close() }
        let reader = try spool.reader(from: 0)
        var letters: [DeadLetter] = []
        while let frame = try reader.next() {
            for index in 0..<frame.recordCount {
                let context = RecordContext(decoding: frame.context)
                var letter = DeadLetter(
                    body: String(decoding: frame.body(index), as: UTF8.self), source: context?.source ?? "?",
                    sequence: -1, reason: "")
                RecordAttributes.forEach(in: frame.attributes(of: index)) { key, value in
                    switch (String(decoding: key, as: UTF8.self), value) {
                    case ("sequence", .integer(let number)): letter.sequence = number
                    case ("dead_letter_reason", .string(let text)):
                        letter.reason = String(decoding: text, as: UTF8.self)
                    default: break
                    }
                }
                letters.append(letter)
            }
        }
        return letters
    }
}
