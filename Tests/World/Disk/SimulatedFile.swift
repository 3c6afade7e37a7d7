import TestSupport

/// The bytes of a file, as programs see them and as the platters have them.
final class SimulatedFile {
    /// What a disk writes whole or not at all; when it tears, not even that.
    static let sector = 512

    /// What programs see: the page cache.
    private(set) var bytes: [UInt8] = []
    /// What a power cut certainly leaves.
    private var durable: [UInt8] = []
    private var durableSize = 0
    /// Sectors that were written and not synced, by number.
    private var isDirty: [Bool] = []
    private var dirtyCount = 0
    /// All dirty sectors lie in it.
    private var dirtyRange = 0..<0
    var isLocked = false

    func read(into target: UnsafeMutableRawBufferPointer, at offset: Int) -> Int {
        let count = max(0, min(target.count, bytes.count - offset))
        guard count > 0 else { return 0 }
        bytes.withUnsafeBytes {
            target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<(offset + count)]))
        }
        return count
    }

    func write(_ source: UnsafeRawBufferPointer, at offset: Int) {
        guard !source.isEmpty else { return }
        if offset + source.count > bytes.count { resize(to: offset + source.count) }
        bytes.withUnsafeMutableBytes {
            UnsafeMutableRawBufferPointer(rebasing: $0[offset..<(offset + source.count)]).copyMemory(from: source)
        }
        for sector in (offset / Self.sector)...((offset + source.count - 1) / Self.sector) { markDirty(sector) }
    }

    func resize(to size: Int) {
        if size < bytes.count {
            bytes.removeSubrange(size...)
        } else {
            bytes += [UInt8](repeating: 0, count: size - bytes.count)
        }
        let sectors = (bytes.count + Self.sector - 1) / Self.sector
        if isDirty.count < sectors { isDirty += [Bool](repeating: false, count: sectors - isDirty.count) }
        // What is cut and comes back is zeros.
        if size % Self.sector != 0, size < durableSize { markDirty(size / Self.sector) }
    }

    private func markDirty(_ sector: Int) {
        guard !isDirty[sector] else { return }
        isDirty[sector] = true
        dirtyRange =
            dirtyCount == 0
            ? sector..<(sector + 1) : min(sector, dirtyRange.lowerBound)..<max(sector + 1, dirtyRange.upperBound)
        dirtyCount += 1
    }

    /// The sectors that a sync beginning now takes along.
    func dirtySectors() -> [Int] { dirtyCount == 0 ? [] : dirtyRange.filter { $0 < isDirty.count && isDirty[$0] } }

    /// These sectors reach the platters as they are now.
    func settle(_ sectors: [Int]) {
        durableSize = bytes.count
        for sector in sectors { settle(sector) }
    }

    private func settle(_ sector: Int) {
        copy(sector, to: &durable)
        forget(sector)
    }

    /// The kernel gives up on these: it counts them as written.
    func forget(_ sectors: [Int]) {
        for sector in sectors { forget(sector) }
    }

    private func forget(_ sector: Int) {
        guard sector < isDirty.count, isDirty[sector] else { return }
        isDirty[sector] = false
        dirtyCount -= 1
    }

    private func copy(_ sector: Int, to target: inout [UInt8], first: Int = 0, count: Int = SimulatedFile.sector) {
        let start = sector * Self.sector + first
        let end = min(start + count, bytes.count)
        guard start < end else { return }
        if target.count < end { target += [UInt8](repeating: 0, count: end - target.count) }
        target.replaceSubrange(start..<end, with: bytes[start..<end])
    }

    /// How likely things are when the power goes, in percent.
    struct PowerCut {
        /// A written sector has arrived.
        var arrival: Int
        /// A sector that was on its way is torn, at any byte; beyond the tear there may be rubbish.
        var tear: Int
        /// Sectors that arrive together.
        var block: Int
    }

    func cutPower(_ cut: PowerCut, _ random: inout SeededGenerator) {
        // A size that was not synced may have arrived or not; one that was cut as well.
        if durableSize != bytes.count, Int.random(in: 0..<100, using: &random) < cut.arrival {
            durableSize = bytes.count
        }
        var block = -1
        var hasArrived = false
        for sector in dirtySectors() {
            if sector / cut.block != block {
                block = sector / cut.block
                hasArrived = Int.random(in: 0..<100, using: &random) < cut.arrival
            }
            if Int.random(in: 0..<100, using: &random) < cut.tear {
                let place = Int.random(in: 0...Self.sector, using: &random)
                copy(sector, to: &durable, count: place)
                if Bool.random(using: &random) { spoil(sector, from: place, &random) }
            } else if hasArrived {
                copy(sector, to: &durable)
            }
        }
        forget(dirtySectors())
        durable = Array(durable.prefix(durableSize))
        durable += [UInt8](repeating: 0, count: durableSize - durable.count)
        bytes = durable
        isDirty = Array(repeating: false, count: (bytes.count + Self.sector - 1) / Self.sector)
        isLocked = false
    }

    /// Rubbish in the place of what was to be written. What was there before, and did not change, stays: disks promise that
    /// much, and everything that appends to a file relies on it.
    private func spoil(_ sector: Int, from place: Int, _ random: inout SeededGenerator) {
        let end = min((sector + 1) * Self.sector, durable.count, bytes.count)
        for byte in min(sector * Self.sector + place, end)..<end where durable[byte] != bytes[byte] {
            durable[byte] = UInt8.random(in: 0 ... .max, using: &random)
        }
    }

    /// The kernel writes some of what is dirty, unasked.
    func writeBack(_ random: inout SeededGenerator) {
        for sector in dirtySectors() where Bool.random(using: &random) { settle(sector) }
    }
}
