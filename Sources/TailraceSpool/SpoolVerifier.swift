internal import Logging

/// Reads what a start found and did not read, once, at leisure: so damage is known before somebody needs the records.
///
/// It is a reader like any other: damage is stepped over, copied to the quarantine, and counted once, whoever meets it first.
/// What every output acknowledges meanwhile it passes over.
final class SpoolVerifier {
    /// Bytes read at once at most.
    static let maximumPiece = 1 << 20
    /// After so many failures in a row it gives up: who needs the records will meet the same.
    static let maximumFailures = 10

    private let core: SpoolCore
    private let ids: Range<UInt64>
    private let beginning: UInt64
    private var reader: SpoolReader?
    /// Bytes of frames so far.
    private var bytes = 0
    private var failures = 0
    /// What was known to be lost before.
    private let lostBefore: UInt64

    /// - Parameter ids: what to read.
    init(core: SpoolCore, ids: Range<UInt64>) {
        self.core = core
        self.ids = ids
        beginning = core.clocks.nanoseconds() + core.configuration.verificationDelay.nanosecondsClamped
        lostBefore = core.quarantine.counts.records
    }

    /// What its thread does.
    func run() {
        while true {
            switch step() {
            case .again: continue
            case .ended: return
            case .wait(let deadline):
                core.monitor.withLock {
                    while core.state.phase == .open, core.clocks.nanoseconds() < deadline ?? .max {
                        core.stopping.wait(until: deadline)
                    }
                }
            }
        }
    }

    /// Reads a piece.
    func step() -> StepResult<UInt64> {
        guard core.monitor.withLock({ core.state.phase == .open }) else { return .ended }
        let now = core.clocks.nanoseconds()
        let due = beginning + duration(of: bytes)
        guard now >= due else { return .wait(until: due) }
        do throws(SpoolError) {
            let isOver = try readPiece()
            failures = 0
            guard isOver else { return .again }
        } catch {
            reader = nil
            failures += 1
            guard failures >= Self.maximumFailures else {
                return .wait(until: now + core.configuration.retryInterval.nanosecondsClamped)
            }
            core.logger.warning("the spool cannot be verified", metadata: ["error": "\(error)"])
            return .ended
        }
        core.monitor.withLock { core.state.unverified = ids.upperBound..<ids.upperBound }
        let lost = core.quarantine.counts.records - lostBefore
        core.logger.log(
            level: lost > 0 ? .warning : .info, "what the start found in the spool has been read",
            metadata: ["bytes": "\(bytes)", "records_lost": "\(lost)"])
        return .ended
    }

    /// Nanoseconds that `bytes` may take.
    private func duration(of bytes: Int) -> UInt64 {
        UInt64(Double(bytes) / Double(core.configuration.verificationRate) * 1e9)
    }

    /// True at the end.
    private func readPiece() throws(SpoolError) -> Bool {
        // At the usual rate, some thirty pieces a second.
        let piece = max(4096, min(Self.maximumPiece, core.configuration.verificationRate / 32))
        let end = bytes + piece
        let reader = openReader()
        guard reader.nextSequence < ids.upperBound else { return true }
        while bytes < end {
            let frame: SpoolFrame?
            do throws(SpoolError) {
                frame = try reader.next()
            } catch {
                // What it was about to read is acknowledged and gone.
                guard case .released = error else { throw error }
                self.reader = nil
                return false
            }
            core.monitor.withLock {
                core.state.unverified = min(reader.nextSequence, ids.upperBound)..<ids.upperBound
            }
            guard let frame, reader.nextSequence < ids.upperBound else { return true }
            bytes += frame.length
        }
        return false
    }

    private func openReader() -> SpoolReader {
        if let reader { return reader }
        let first = core.monitor.withLock {
            max(core.state.unverified.lowerBound, core.state.firstSequence, core.state.released)
        }
        let new = SpoolReader(core: core, from: first)
        reader = new
        return new
    }
}
