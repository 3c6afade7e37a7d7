internal import Logging
import Synchronization

/// Counts damage once per place, and keeps copies of the bad bytes in `quarantine/` for people to look at.
final class Quarantine: Sendable {
    /// Bytes copied from one place at most.
    static let maximumCopy = 16 << 20
    /// Places remembered, so that several readers do not count one damage twice.
    static let maximumPlaces = 65_536

    struct Counts: Equatable, Sendable {
        var bytes: UInt64 = 0
        var records: UInt64 = 0
        var places: UInt64 = 0
    }

    private struct Place: Hashable {
        let generation: UInt64
        let offset: Int
    }

    private struct State {
        var seen: Set<Place> = []
        var counts = Counts()
        /// Bytes of copies in the directory; nil until it has been looked at.
        var copied: Int?
    }

    private let directory: SpoolDirectory
    private let limit: Int
    private let logger: Logger
    private let state = Mutex(State())

    init(spool: SpoolDirectory, limit: Int, logger: Logger) {
        directory = SpoolDirectory(path: spool("quarantine"), disk: spool.disk)
        self.limit = limit
        self.logger = logger
    }

    var counts: Counts { state.withLock { $0.counts } }

    /// Notes that `records` records were lost in `range` of a segment. Without a file nothing is copied.
    func note(_ file: SpoolFile?, generation: UInt64, range: Range<Int>, records: UInt64) {
        let isNew = state.withLock { state in
            guard state.seen.count < Self.maximumPlaces,
                state.seen.insert(Place(generation: generation, offset: range.lowerBound)).inserted
            else { return false }
            state.counts.bytes += UInt64(range.count)
            state.counts.records += records
            state.counts.places += 1
            return true
        }
        guard isNew else { return }
        let copy = file.flatMap { self.copy(from: $0, generation: generation, range: range) }
        logger.error(
            "damaged bytes in the spool were skipped",
            metadata: [
                "segment": "\(SegmentName.segment(generation))", "offset": "\(range.lowerBound)",
                "bytes": "\(range.count)", "records": "\(records)", "copy": "\(copy ?? "none")",
            ])
    }

    /// Copies the bytes aside and returns the copy's path; a failure costs only the copy.
    func copy(from file: SpoolFile, generation: UInt64, range: Range<Int>) -> String? {
        let count = min(range.count, Self.maximumCopy)
        // No copy is worth the last of the space.
        guard count > 0, directory.space()?.hasRoom(for: count, minimumFree: nil) ?? true, reserve(count) else {
            return nil
        }
        let name = "\(SegmentName.digits(generation))-\(range.lowerBound).bytes"
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
        defer { bytes.deallocate() }
        do throws(SpoolFileError) {
            let read = try file.readAround(into: bytes, at: range.lowerBound)
            let copy = try directory.open(name, .createNew)
            try copy.write(UnsafeRawBufferPointer(rebasing: bytes[..<read]), at: 0)
            return directory(name)
        } catch {
            // Found again after a restart: the copy is there already.
            state.withLock { $0.copied = $0.copied.map { $0 - count } }
            return nil
        }
    }

    private func reserve(_ count: Int) -> Bool {
        if state.withLock({ $0.copied }) == nil {
            var present = 0
            do throws(SpoolFileError) {
                try directory.create()
                for name in try directory.names() { present += try directory.open(name, .read).size() }
            } catch {
                return false
            }
            state.withLock { if $0.copied == nil { $0.copied = present } }
        }
        return state.withLock { state in
            guard let copied = state.copied, copied + count <= limit else { return false }
            state.copied = copied + count
            return true
        }
    }
}

/// The names of segment files.
enum SegmentName {
    static func digits(_ generation: UInt64) -> String {
        let digits = String(generation)
        return String(repeating: "0", count: 20 - digits.utf8.count) + digits
    }

    static func segment(_ generation: UInt64) -> String { digits(generation) + ".spool" }
    static func spare(_ generation: UInt64) -> String { digits(generation) + ".spare" }
    static func new(_ generation: UInt64) -> String { digits(generation) + ".new" }

    /// The generation in a name with 20 digits before `suffix`.
    static func generation(_ name: String, suffix: String) -> UInt64? {
        guard name.hasSuffix(suffix), name.utf8.count == 20 + suffix.utf8.count,
            name.utf8.prefix(20).allSatisfy({ $0 >= 0x30 && $0 <= 0x39 })
        else { return nil }
        return UInt64(name.prefix(20))
    }
}
