import Glibc
import LoadSupport
import Measurements
import TailraceSpool

/// The spool with its thread, by the clock. Beside it, in turns, blocks of 1 MiB written one after the other into a preallocated
/// file, each with its fdatasync: what the disk gives to a program that does nothing else.
struct SpoolRates {
    let directory: String
    let bytes: Int

    func run(_ rounds: Int) throws {
        let blocks = "1-MiB blocks, each with fdatasync"
        let ways: [(name: String, measure: () throws -> Double)] = [
            (blocks, plainBlocks),
            ("spool, sync = always", { try append(.always, isReleased: false) }),
            ("spool, sync = always, segments used again", { try append(.always, isReleased: true) }),
            ("spool, never synced, segments used again", { try append(.never, isReleased: true) }),
        ]
        var rates: [[Double]] = ways.map { _ in [] }
        for _ in 0..<rounds {
            for (index, way) in ways.enumerated() { rates[index].append(try way.measure()) }
        }
        var results = Results("spool, \(bytes >> 20) MiB in records of \(Filling.record) bytes")
        for (way, rates) in zip(ways, rates) {
            results.add(way.name, "MB/s", rates)
            if way.name != blocks { results.compare(way.name, to: blocks) }
        }
        results.tell()
    }

    private func seconds(_ body: () throws -> Void) rethrows -> Double {
        let begin = ContinuousClock.now
        try body()
        return begin.duration(to: .now) / .seconds(1)
    }

    private func plainBlocks() throws -> Double {
        let path = directory + ".blocks"
        let file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0o600)
        guard file >= 0 else { throw Failure("cannot make \(path)") }
        defer {
            close(file)
            unlink(path)
        }
        let block = 1 << 20
        let memory = UnsafeMutableRawPointer.allocate(byteCount: block, alignment: 4096)
        defer { memory.deallocate() }
        memset(memory, 0x61, block)
        guard posix_fallocate(file, 0, off_t(bytes)) == 0 else { throw Failure("no space for \(path)") }
        let time = try seconds {
            for offset in stride(from: 0, to: bytes, by: block) {
                guard pwrite(file, memory, block, off_t(offset)) == block, fdatasync(file) == 0 else {
                    throw Failure("cannot write \(path)")
                }
            }
        }
        return Double(bytes) / time / 1e6
    }

    private func append(_ sync: SyncPolicy, isReleased: Bool) throws -> Double {
        let filling = Filling(directory: directory)
        defer { filling.remove() }
        let spool = try filling.open { $0.sync = sync }
        defer { spool.close() }
        return Double(bytes) / (try seconds { try filling.fill(spool, bytes: bytes, isReleased: isReleased) }) / 1e6
    }
}
