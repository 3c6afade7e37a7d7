import Glibc
import LoadSupport
import TailraceSpool

/// The spool alone. Beside it, in turns, blocks of 1 MiB written one after the other into a preallocated file, each with its
/// fdatasync: what the disk gives to a program that does nothing else.
struct SpoolStage {
    let directory: String
    let bytes: Int

    func run(_ rounds: Int) throws {
        var rates: [String: [Double]] = [:]
        for _ in 0..<rounds {
            rates["plain", default: []].append(try plainBlocks())
            rates["always", default: []].append(try append(.always, isReleased: false))
            rates["reused", default: []].append(try append(.always, isReleased: true))
            rates["never", default: []].append(try append(.never, isReleased: true))
            rates["read", default: []].append(try read())
        }
        print("\(bytes >> 20) MiB in records of \(Filling.record) bytes")
        let plain = rates["plain"] ?? []
        report("1-MiB blocks, each with fdatasync", "MB/s", plain)
        report("spool, sync = always", "MB/s", rates["always"] ?? [])
        report("spool, sync = always, to blocks", "x", zip(rates["always"] ?? [], plain).map { $0 / $1 }, decimals: 2)
        report("spool, sync = always, segments used again", "MB/s", rates["reused"] ?? [])
        report("spool, never synced, segments used again", "MB/s", rates["never"] ?? [])
        report("spool, read from the page cache, of a processor", "MB/s", rates["read"] ?? [])
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
        defer { try? filling.remove() }
        let spool = try filling.open(sync)
        defer { spool.close() }
        return Double(bytes) / (try seconds { try filling.fill(spool, bytes: bytes, isReleased: isReleased) }) / 1e6
    }

    /// MB of a second of processor time.
    private func read() throws -> Double {
        let filling = Filling(directory: directory)
        defer { try? filling.remove() }
        let spool = try filling.open(.never)
        defer { spool.close() }
        try filling.fill(spool, bytes: bytes)
        let reader = try spool.reader(from: 0)
        let begin = ProcessorTime.seconds()
        var records = 0
        while let frame = try reader.next() { records += frame.recordCount }
        let time = ProcessorTime.seconds() - begin
        guard records * Filling.record >= bytes else { throw Failure("\(records) records were read") }
        return Double(records * Filling.record) / time / 1e6
    }
}
