import Glibc
import World

/// What has been run so far.
struct Tally {
    private(set) var worlds: UInt64 = 0
    private(set) var failed = 0
    /// What runs the first of those again: the last line tells, whatever else of the output is kept.
    private var again: [String] = []
    private static let toldAgain = 10
    private var records = 0
    private var lives = 0
    private var diskFailures = 0
    private let beginning = ContinuousClock.now
    private var told = ContinuousClock.now

    /// In seconds.
    var elapsed: Double { beginning.duration(to: .now) / .seconds(1) }

    var isTimeToTell: Bool { told.duration(to: .now) > .seconds(10) }

    mutating func add(_ result: WorldResult) {
        worlds += 1
        if !result.violations.isEmpty {
            failed += 1
            if again.count < Self.toldAgain { again.append(result.command) }
        }
        records += result.records
        lives += result.lives
        diskFailures += result.diskFailures
    }

    mutating func tell() {
        told = .now
        print(
            "\(worlds) worlds, \(failed) failed; \(lives) lives, \(records) records, \(diskFailures) failed disk calls; "
                + "\(Int(Double(worlds) / elapsed)) worlds/s" + again.map { "; \($0)" }.joined())
        // Whoever looks into the file of a long run sees how far it is.
        fflush(nil)
    }
}
