import TestSupport
import Testing

@testable import TailraceAgent

@Suite struct SequenceAccountTests {
    @Test func acknowledgedRecordsAreCountedPerInput() {
        var account = SequenceAccount(start: 100, inputs: 2)
        account.note(first: 100, count: 10, input: 0)
        account.note(first: 110, count: 5, input: 1)
        account.acknowledge(below: 112)
        #expect(account.acknowledged == [10, 2])
        account.acknowledge(below: 112)
        account.acknowledge(below: 50)
        #expect(account.acknowledged == [10, 2])
        account.acknowledge(below: 1000)
        #expect(account.acknowledged == [10, 5])
    }

    @Test func whatLayInTheSpoolAtTheStartBelongsToNoInput() {
        var account = SequenceAccount(start: 100, inputs: 1)
        account.note(first: 90, count: 15, input: 0)
        account.note(first: 10, count: 5, input: 0)
        account.acknowledge(below: 200)
        #expect(account.acknowledged == [5])
    }

    @Test func whatIsReadAgainCountsOnce() {
        var account = SequenceAccount(start: 0, inputs: 2)
        account.note(first: 0, count: 10, input: 0)
        account.acknowledge(below: 10)
        account.note(first: 0, count: 10, input: 0)
        account.note(first: 5, count: 10, input: 1)
        account.acknowledge(below: 15)
        #expect(account.acknowledged == [10, 5])
    }

    /// One of them is fast and one is slow; each tells all that it takes, in order.
    @Test func severalOutputsAndLittleRoom() {
        for seed in [1, 2, 3] as [UInt64] { run(SeededGenerator(seed: seed)) }
        run(.fresh("SequenceAccount outputs"))
        func run(_ generator: SeededGenerator) {
            var generator = generator
            let room = Int.random(in: 4...40, using: &generator)
            var account = SequenceAccount(start: 0, limit: room)
            // Each id's input, by stretches that nobody's records are divided along.
            var owners: [Int] = []
            while owners.count < 5000 {
                owners += Array(
                    repeating: Int.random(in: 0..<3, using: &generator), count: Int.random(in: 1...9, using: &generator)
                )
            }
            var (fast, slow, floor) = (0, 0, 0)
            var mostLate: UInt64 = 1
            func take(from start: Int) -> Int {
                var end = start
                let longest = Int.random(in: 1...6, using: &generator)
                while end < owners.count, end - start < longest, owners[end] == owners[start] { end += 1 }
                if end > start { account.note(first: UInt64(start), count: end - start, input: owners[start]) }
                return end
            }
            while floor < owners.count {
                for _ in 0..<Int.random(in: 0...30, using: &generator) { fast = take(from: fast) }
                for _ in 0..<5 where slow < fast { slow = take(from: slow) }
                floor = Int.random(in: floor...min(slow, fast), using: &generator)
                account.acknowledge(below: UInt64(floor))
                var expected: [UInt64] = [0, 0, 0]
                for owner in owners[..<floor] { expected[owner] += 1 }
                mostLate = max(mostLate, account.grain)
                let found = account.acknowledged + Array(repeating: 0, count: 3 - account.acknowledged.count)
                // Nothing too early, and nothing much too late; where there is room, at once.
                let late = zip(expected, found).map { $0.subtractingReportingOverflow($1) }
                let isRight =
                    late.allSatisfy { !$0.overflow } && late.reduce(0) { $0 + $1.partialValue } < account.grain
                #expect(isRight, "\(found) of \(expected), \(account.grain)")
                guard isRight else { return }
                #expect(account.count <= room)
            }
            #expect(mostLate > 1)
            account.acknowledge(below: 5000 + 100)
            #expect(
                account.acknowledged.reduce(0, +) == UInt64(owners.count) && account.count == 0 && account.grain == 1)
        }
    }

    @Test func anyOrderOfNotesAndAcknowledgementsCountsEveryRecordOnce() {
        for seed in [1, 2, 3] as [UInt64] { run(SeededGenerator(seed: seed)) }
        run(.fresh("SequenceAccount"))
        func run(_ generator: SeededGenerator) {
            var generator = generator
            var account = SequenceAccount(start: 7, inputs: 3)
            var owners: [Int] = []
            var floor = 0
            var expected: [UInt64] = [0, 0, 0]
            while owners.count < 20_000 {
                let count = Int.random(in: 1...50, using: &generator)
                let input = Int.random(in: 0..<3, using: &generator)
                // Sometimes a whole stretch is read a second time.
                if Bool.random(using: &generator), !owners.isEmpty {
                    let again = Int.random(in: floor..<max(floor + 1, owners.count), using: &generator)
                    if again < owners.count {
                        account.note(first: UInt64(7 + again), count: owners.count - again, input: owners[again])
                    }
                }
                account.note(first: UInt64(7 + owners.count), count: count, input: input)
                owners += Array(repeating: input, count: count)
                let newFloor = Int.random(in: floor...owners.count, using: &generator)
                for owner in owners[floor..<newFloor] { expected[owner] += 1 }
                floor = newFloor
                account.acknowledge(below: UInt64(7 + floor))
                #expect(account.acknowledged == expected)
            }
            #expect(account.count < 5000)
        }
    }
}
