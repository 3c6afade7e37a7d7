import Glibc
import TailraceDelivery
import TailraceSpool
import TestSupport
import Testing

/// The ledger only tells what need not be sent again; the records are in the spool.
@Suite struct LostLedgerTests {
    enum Fate: CaseIterable { case missing, empty, zero, cut, old }

    @Test(arguments: Fate.allCases)
    func whateverBecomesOfTheLedgerNothingThatTheSpoolHoldsIsPassedOver(_ fate: Fate) async throws {
        let bench = try Workbench()
        let path = bench.directory("spool/out.ledger")
        let before = Self.read(path)
        for number in 0..<10 { try bench.append(["\(number)"], source: "p\(number % 2)/a") }
        let first = try bench.drain(FakeHub(partitions: 2))
        first.start()
        await bench.floor.wait { $0 == 10 }
        await first.stop(within: .seconds(10))
        for number in 10..<20 { try bench.append(["\(number)"], source: "p\(number % 2)/a") }
        bench.ledger.close()
        let now = Self.read(path)
        #expect(now != before && bench.spool.statistics().firstSequence == 0)
        switch fate {
        case .missing: unlink(path)
        case .empty: Self.write([], to: path)
        case .zero: Self.write([UInt8](repeating: 0, count: now.count), to: path)
        case .cut: Self.write(Array(now.prefix(20)), to: path)
        case .old: Self.write(before, to: path)
        }
        try bench.restart()
        let hub = FakeHub(partitions: 2)
        let second = try bench.drain(hub)
        second.start()
        await bench.floor.wait { $0 == 20 }
        await second.stop(within: .seconds(10))
        // Without a ledger that knows better, the acknowledged ones too: twice rather than never.
        #expect(hub.stored.value.sequences == Array(0..<20))
        for partition in hub.stored.value.partitions {
            #expect(partition.map(\.sequence) == partition.map(\.sequence).sorted())
        }
        #expect(second.statistics.balances)
    }

    private static func read(_ path: String) -> [UInt8] { ChildProcess.bytes(path) }

    private static func write(_ bytes: [UInt8], to path: String) {
        let file = open(path, O_WRONLY | O_TRUNC)
        defer { close(file) }
        #expect(file >= 0 && Glibc.write(file, bytes, bytes.count) == bytes.count)
    }
}
