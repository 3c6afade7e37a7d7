import TestSupport
import Testing

@testable import TailraceInputs

@Suite struct StreamFramerTests {
    struct Found: Equatable {
        var text: String
        var length: Int
        var isUnterminated = false

        init(_ text: String, length: Int? = nil, isUnterminated: Bool = false) {
            self.text = text
            self.length = length ?? text.utf8.count
            self.isUnterminated = isUnterminated
        }
    }

    /// What a stream gives that arrives in pieces of these sizes, in turn.
    private func frames(
        _ bytes: [UInt8], pieces: [Int], limit: Int = 1000, ends: Bool = true, refusals: () -> Bool = { false }
    ) -> (found: [Found], problem: StreamFramer.Problem?) {
        var framer = StreamFramer(limit: limit)
        var found: [Found] = []
        var at = 0
        var turn = 0
        func take(_ message: StreamFramer.Message) -> Bool {
            if refusals() { return false }
            found.append(
                Found(
                    String(decoding: message.bytes, as: UTF8.self), length: message.originalLength,
                    isUnterminated: message.isUnterminated))
            return true
        }
        while at < bytes.count {
            let end = min(bytes.count, at + pieces[turn % pieces.count])
            turn += 1
            // As a connection does it: what there was no room for comes again.
            while at < end {
                let (used, problem) = bytes[at..<end].withUnsafeBytes { framer.receive($0, take) }
                at += used
                if let problem { return (found, problem) }
            }
        }
        if ends { while !framer.finish(take) {} }
        return (found, nil)
    }

    @Test(arguments: [[1], [2], [3, 1], [7], [10_000]])
    func bothFramingsMayMix(_ pieces: [Int]) {
        let stream = "<13>line one\n11 <13>counted<14>line two\r\n13 <13>with\nline\n5 <1>ab\n<13>last\0<13>end\n"
        let (found, problem) = frames(Array(stream.utf8), pieces: pieces)
        #expect(problem == nil)
        #expect(
            found == [
                Found("<13>line one"), Found("<13>counted"), Found("<14>line two\r"), Found("<13>with\nline"),
                Found("<1>ab"), Found("<13>last"), Found("<13>end"),
            ])
    }

    @Test(arguments: [[1], [5], [10_000]]) func aCountThatIsNonsenseEndsTheStream(_ pieces: [Int]) {
        for count in ["1000000000", "16777217", "99999999999999999999"] {
            let (found, problem) = frames(Array("<13>a\n\(count) <13>b\n".utf8), pieces: pieces)
            #expect(found == [Found("<13>a")])
            #expect(problem == .count)
        }
    }

    @Test(arguments: [[1], [64], [100_000]]) func longMessagesAreCutAndTheNextOneIsRight(_ pieces: [Int]) {
        let long = "<13>" + String(repeating: "x", count: 5000)
        let stream = "\(long)\n\(long.utf8.count) \(long)<13>after\n"
        let (found, _) = frames(Array(stream.utf8), pieces: pieces)
        #expect(
            found == [
                Found(String(long.prefix(1000)), length: 5004), Found(String(long.prefix(1000)), length: 5004),
                Found("<13>after"),
            ])
    }

    @Test(arguments: [[1], [100]]) func whatTheStreamEndsInIsAMessageWithoutEnd(_ pieces: [Int]) {
        #expect(frames(Array("<13>half".utf8), pieces: pieces).found == [Found("<13>half", isUnterminated: true)])
        #expect(
            frames(Array("20 <13>half".utf8), pieces: pieces).found
                == [Found("<13>half", length: 20, isUnterminated: true)])
        #expect(frames(Array("57".utf8), pieces: pieces).found == [Found("57", isUnterminated: true)])
        #expect(frames(Array("\n\n\r\n\0".utf8), pieces: pieces).found == [])
    }

    @Test func aLineThatBeginsWithANumberIsALine() {
        let line = "2024-03-10T10:00:00Z h a: t"
        #expect(frames(Array("\(line)\n".utf8), pieces: [3]).found == [Found(line)])
        #expect(frames(Array("0 zero\n".utf8), pieces: [1]).found == [Found("0 zero")])
    }

    @Test func anyStreamInAnyPiecesWithAnyRefusalsGivesTheSame() {
        for seed in [21, 22, UInt64.random(in: 0..<(.max))] {
            print("stream framer, seed \(seed)")
            var generator = SeededGenerator(seed: seed)
            for _ in 0..<400 {
                var stream: [UInt8] = []
                for _ in 0..<Int.random(in: 1...8, using: &generator) {
                    let body = (0..<Int.random(in: 1...40, using: &generator)).map { _ in
                        Array("<>19 ab\n\0\r".utf8).randomElement(using: &generator)!
                    }
                    switch Int.random(in: 0..<3, using: &generator) {
                    case 0: stream += Array("\(body.count) ".utf8) + body
                    case 1: stream += Array("<13>".utf8) + body.filter { $0 != 10 && $0 != 0 } + [10]
                    default: stream += body
                    }
                }
                let whole = frames(stream, pieces: [stream.count], limit: 25)
                let pieces = (0..<5).map { _ in Int.random(in: 1...9, using: &generator) }
                var refuser = SeededGenerator(seed: seed &+ 1)
                let pieced = frames(stream, pieces: pieces, limit: 25) { Int.random(in: 0..<3, using: &refuser) == 0 }
                #expect(whole.found == pieced.found)
                #expect(whole.problem == pieced.problem)
            }
        }
    }
}
