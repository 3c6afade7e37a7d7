import TestSupport
import Testing

@testable import TailraceDelivery

@Suite struct SettledLettersTests {
    @Test func rangesGrowTogether() {
        var settled = SettledLetters()
        settled.insert(5..<7)
        settled.insert(9..<10)
        #expect(settled.ranges == [5..<7, 9..<10] && settled.floor == 0 && settled.end == 10)
        #expect(settled.rest(of: 0..<12) == [0..<5, 7..<9, 10..<12])
        #expect(settled.rest(of: 6..<9) == [7..<9])
        #expect(settled.rest(of: 5..<5) == [])
        settled.insert(7..<9)
        settled.insert(0..<2)
        #expect(settled.ranges == [0..<2, 5..<10] && settled.floor == 2)
        settled.insert(1..<6)
        #expect(settled.ranges == [0..<10] && settled.floor == 10)
        #expect(settled.contains(9) && !settled.contains(10))
        #expect(settled.clamped(to: 4) == [0..<4])
    }

    @Test func theTextTellsAllOfIt() {
        #expect(SettledLetters().value == Array("0".utf8))
        #expect(SettledLetters([0..<17, 20..<21, 22..<31]).value == Array("17 20 22-30".utf8))
        let bad = [
            "", "x", "17 ", "17 16", "17 20-19", "17 20 20", "-1", "3 5-18446744073709551615", "17 20 x", "1-2-3",
        ]
        for text in bad {
            #expect(SettledLetters(value: Array(text.utf8)) == nil, "\(text)")
        }
    }

    @Test func aModelOfSingleIdsAgrees() {
        for seed in 1...200 { run(SeededGenerator(seed: UInt64(seed))) }
        run(.fresh("SettledLetters"))
        func run(_ generator: SeededGenerator) {
            var generator = generator
            var settled = SettledLetters()
            var model: Set<UInt64> = []
            for _ in 0..<30 {
                let first = UInt64.random(in: 0..<60, using: &generator)
                let range = first..<(first + UInt64.random(in: 0..<9, using: &generator))
                settled.insert(range)
                model.formUnion(range)
                let low = UInt64.random(in: 0..<70, using: &generator)
                let asked = low..<(low + UInt64.random(in: 0..<20, using: &generator))
                #expect(settled.rest(of: asked).flatMap { Array($0) } == asked.filter { !model.contains($0) })
            }
            #expect(settled.ranges.flatMap { Array($0) } == model.sorted(), "seed \(generator.seed)")
            #expect((0..<80).filter { settled.contains($0) } == model.sorted())
            #expect(settled.floor == (0...).first { !model.contains($0) })
            #expect(SettledLetters(value: settled.value) == settled)
        }
    }
}
