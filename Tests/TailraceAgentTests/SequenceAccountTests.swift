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
