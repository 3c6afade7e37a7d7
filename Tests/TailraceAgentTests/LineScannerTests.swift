import TestSupport
import Testing

@testable import TailraceAgent

@Suite struct LineScannerTests {
    /// Feeds `bytes` in pieces of the given sizes, the last one again and again.
    private func lines(
        of bytes: [UInt8], maximumLine: Int, pieces: () -> Int
    ) -> (lines: [[UInt8]], tooLong: [LineScanner.TooLong]) {
        let scanner = LineScanner(maximumLine: maximumLine)
        var lines: [[UInt8]] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let room = scanner.room()
            let piece = rest.prefix(min(max(1, pieces()), room.count))
            room.copyBytes(from: piece)
            scanner.didRead(piece.count)
            rest = rest.dropFirst(piece.count)
            while true {
                let found = scanner.scan()
                if found == 0 { break }
                for number in 0..<found { lines.append(Array(scanner.line(number))) }
            }
        }
        for number in 0..<scanner.finish() { lines.append(Array(scanner.line(number))) }
        return (lines, scanner.takeTooLong())
    }

    @Test func linesKeepTheirBytesButForTheNewline() {
        let bytes = Array("one\n\ntwo\r\n".utf8) + [0, 0xFF, 0x0A] + Array("last".utf8)
        for size in [1, 2, 3, 100] {
            let (lines, tooLong) = lines(of: bytes, maximumLine: 10) { size }
            #expect(lines == [Array("one".utf8), [], Array("two\r".utf8), [0, 0xFF], Array("last".utf8)])
            #expect(tooLong.isEmpty)
        }
        #expect(lines(of: [0x0A], maximumLine: 10) { 1 }.lines == [[]])
        #expect(lines(of: [], maximumLine: 10) { 1 }.lines == [])
    }

    @Test func aLineThatIsTooLongIsPassedOverAndTold() {
        let text = "1234567890\n12345678901\nshort\n" + String(repeating: "x", count: 3 << 20) + "\nlast but too long"
        for size in [1 << 20, 4096] {
            let (lines, tooLong) = lines(of: Array(text.utf8), maximumLine: 10) { size }
            #expect(lines.map { String(decoding: $0, as: UTF8.self) } == ["1234567890", "short"])
            #expect(
                tooLong == [
                    .init(number: 2, length: 11), .init(number: 4, length: 3 << 20), .init(number: 5, length: 17),
                ])
        }
    }

    @Test func anyTextInAnyPiecesGivesItsLines() {
        for var generator in [SeededGenerator(seed: 5), .fresh("lines")] {
            for _ in 0..<200 {
                let maximum = Int.random(in: 1...300, using: &generator)
                let bytes: [UInt8] = (0..<Int.random(in: 0...5000, using: &generator)).map { _ in
                    Int.random(in: 0..<100, using: &generator) == 0 ? 0x0A : .random(in: 0 ... .max, using: &generator)
                }
                var whole = bytes.split(separator: 0x0A, omittingEmptySubsequences: false).map(Array.init)
                if whole.last?.isEmpty == true { whole.removeLast() }
                let (lines, tooLong) = lines(of: bytes, maximumLine: maximum) {
                    Int.random(in: 1...600, using: &generator)
                }
                #expect(lines == whole.filter { $0.count <= maximum }, "seed \(generator.seed)")
                let long = whole.enumerated().filter { $0.element.count > maximum }
                #expect(
                    tooLong == long.map { .init(number: UInt64($0.offset + 1), length: UInt64($0.element.count)) },
                    "seed \(generator.seed)")
            }
        }
    }
}
