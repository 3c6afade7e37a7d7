import Glibc
import LoadSupport
import Measurements
import TailraceSpool

/// The spool with its thread, by the clock. Beside it blocks of 1 MiB under the same conditions (`PlainBlocks`): into files that
/// are new, whose pages the kernel must find first, and into those that were written before.
struct SpoolRates {
    let directory: String
    let bytes: Int

    func run(_ rounds: Int) throws {
        let contestants = [
            (name: "1-MiB blocks, each with fdatasync", measure: plainBlocks),
            (name: "spool, sync = always", measure: spool),
        ]
        var new: [[Double]] = [[], []]
        var used: [[Double]] = [[], []]
        var never: [Double] = []
        for round in 0...rounds {
            // Who comes second finds the pages that the first one has left, so they take turns.
            for index in round % 2 == 0 ? [0, 1] : [1, 0] {
                let rates = try contestants[index].measure()
                // The first round warms up.
                guard round > 0 else { continue }
                new[index].append(rates.new)
                used[index].append(rates.used)
            }
            let unsynced = try append(.never, isReleased: true)
            if round > 0 { never.append(unsynced) }
        }
        var results = Results("spool, \(bytes >> 20) MiB in records of \(Filling.record) bytes")
        for (condition, rates) in [("new files", new), ("files used again", used)] {
            let names = contestants.map { "\($0.name), \(condition)" }
            for (name, rates) in zip(names, rates) { results.add(name, "MB/s", rates) }
            results.compare(names[1], to: names[0])
        }
        results.add("spool, never synced, files used again", "MB/s", never)
        results.tell()
    }

    private func seconds(_ body: () throws -> Void) rethrows -> Double {
        let begin = ContinuousClock.now
        try body()
        return begin.duration(to: .now) / .seconds(1)
    }

    private func rate(_ body: () throws -> Void) rethrows -> Double { Double(bytes) / (try seconds(body)) / 1e6 }

    private func plainBlocks() throws -> (new: Double, used: Double) {
        let blocks = try PlainBlocks(directory + ".blocks", bytes: bytes)
        return (try rate(blocks.write), try rate(blocks.write))
    }

    private func spool() throws -> (new: Double, used: Double) {
        (try append(.always, isReleased: false), try append(.always, isReleased: true))
    }

    private func append(_ sync: SyncPolicy, isReleased: Bool) throws -> Double {
        let filling = Filling(directory: directory)
        defer { filling.remove() }
        let spool = try filling.open { $0.sync = sync }
        defer { spool.close() }
        return try rate { try filling.fill(spool, bytes: bytes, isReleased: isReleased) }
    }
}
