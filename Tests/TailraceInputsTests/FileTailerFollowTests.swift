import Glibc
import TailraceInputs
import TailraceSpool
import TestSupport
import Testing

/// Other inputs than before, while the tailer runs.
@Suite struct FileTailerFollowTests {
    private let directory = TemporaryDirectory()
    private let sink = FakeSink()

    private func named(_ name: String, _ patterns: String...) -> FileTailConfiguration {
        var input = FileTailConfiguration(
            name: name, include: patterns.compactMap { GlobPattern(directory($0)) })
        input.maximumLine = 1000
        return input
    }

    @Test func anInputComesAndIsReadFromItsStart() throws {
        write("1\n", to: directory("a.log"))
        write("old\n", to: directory("b.log"))
        write("old\n", to: directory("c.log"))
        let running = try RunningTailer([named("a", "a.log")], sink)
        #expect(sink.wait { $0.lineCount == 1 })
        var fromTheEnd = named("c", "c.log", "d.log")
        fromTheEnd.startAt = .end
        running.tailer.follow([named("a", "a.log"), named("b", "b.log"), fromTheEnd], host: "h")
        #expect(sink.wait { $0.texts(directory("b.log")) == ["old"] })
        write("2\n", to: directory("a.log"))
        write("new\n", to: directory("c.log"))
        // It came to be after the input: it is read whole.
        write("whole\n", to: directory("d.log"))
        #expect(sink.wait { $0.lineCount == 5 })
        running.stop()
        #expect(sink.texts(directory("a.log")) == ["1", "2"])
        #expect(sink.texts(directory("c.log")) == ["new"])
        #expect(sink.texts(directory("d.log")) == ["whole"])
        #expect(sink.owners(directory("a.log")) == ["h/a", "h/a"])
        #expect(sink.owners(directory("b.log")) == ["h/b"])
    }

    @Test func anInputGoesAndComesBackWhereItWas() throws {
        write("1\n", to: directory("a.log"))
        write("1\n", to: directory("b.log"))
        let running = try RunningTailer([named("a", "a.log"), named("b", "b.log")], sink)
        #expect(sink.wait { $0.lineCount == 2 })
        running.tailer.follow([named("b", "b.log")], host: "h")
        write("2\n", to: directory("a.log"))
        write("2\n", to: directory("b.log"))
        #expect(sink.wait { $0.texts(directory("b.log")) == ["1", "2"] })
        #expect(running.tailer.files().map(\.path) == [directory("b.log")])
        running.tailer.follow([named("b", "b.log"), named("a", "a.log")], host: "h")
        write("3\n", to: directory("a.log"))
        #expect(sink.wait { $0.texts(directory("a.log")) == ["1", "2", "3"] })
        running.stop()
        #expect(sink.lineCount == 5)
    }

    @Test func otherSettingsHoldFromThePositionOn() throws {
        write("short\nfirst half, ", to: directory("a.log"))
        let running = try RunningTailer([named("a", "a.log")], sink)
        #expect(sink.wait { $0.lineCount == 1 })
        var narrow = named("a", "a.log")
        narrow.maximumLine = 8
        running.tailer.follow([narrow], host: "other")
        write("second half\nend\n", to: directory("a.log"))
        #expect(sink.wait { $0.lineCount == 3 })
        var joined = named("a", "a.log")
        joined.multiline = MultilineRules(.indent)
        running.tailer.follow([joined], host: "other")
        write("head\n  more\n", to: directory("a.log"))
        #expect(sink.wait { $0.lineCount == 4 })
        running.tailer.follow([named("a", "a.log")], host: "h")
        write("last\n", to: directory("a.log"))
        #expect(sink.wait { $0.lineCount == 5 })
        running.stop()
        #expect(sink.texts(directory("a.log")) == ["short", "first ha", "end", "head\n  more", "last"])
        #expect(sink.owners(directory("a.log")) == ["h/a", "other/a", "other/a", "other/a", "h/a"])
    }

    /// A file that several inputs match belongs to the first.
    @Test func aFileGoesToAnotherInput() throws {
        write("1\n", to: directory("a.log"))
        let (all, one) = (named("all", "*.log"), named("one", "a.log"))
        let running = try RunningTailer([all, one], sink)
        #expect(sink.wait { $0.lineCount == 1 })
        running.tailer.follow([one, all], host: "h")
        write("2\n", to: directory("a.log"))
        #expect(sink.wait { $0.lineCount == 2 })
        running.tailer.follow([all], host: "h")
        write("3\n", to: directory("a.log"))
        #expect(sink.wait { $0.lineCount == 3 })
        running.stop()
        #expect(sink.owners(directory("a.log")) == ["h/all", "h/one", "h/all"])
        #expect(sink.texts(directory("a.log")) == ["1", "2", "3"])
    }

    /// Closing them would lose what they have.
    @Test(arguments: [false, true])
    func filesWithoutNamesAreReadOn(otherSettings: Bool) throws {
        let writer = Writer(directory("a.log"))
        writer.write("1\n")
        let running = try RunningTailer([named("a", "a.log")], sink)
        #expect(sink.wait { $0.lineCount == 1 })
        unlink(directory("a.log"))
        writer.write("2\n")
        #expect(sink.wait { $0.lineCount == 2 })
        sink.block(true)
        writer.write("3\n")
        #expect(sink.wait { $0.isWaiting })
        var after = named("a", "a.log")
        if otherSettings { after.maximumLine = 500 }
        running.tailer.follow([named("b", "b.log"), after], host: "h")
        writer.write("4\n")
        sink.block(false)
        #expect(sink.wait { $0.lineCount == 4 })
        running.stop()
        #expect(sink.texts(directory("a.log")) == ["1", "2", "3", "4"])
    }

    /// Lines, rotations, and at any moment other inputs: each line once and in order.
    @Test func manyChangesWhileFilesAreWrittenAndRotated() throws {
        for seed in [1, 2] as [UInt64] { try run(SeededGenerator(seed: seed)) }
        try run(.fresh("FileTailerFollow"))
        func run(_ generator: SeededGenerator) throws {
            var generator = generator
            let directory = TemporaryDirectory()
            let sink = FakeSink()
            func input(_ name: String, _ pattern: String, _ maximumLine: Int) -> FileTailConfiguration {
                var input = FileTailConfiguration(
                    name: name, include: [GlobPattern(directory(pattern))].compactMap { $0 })
                input.maximumLine = maximumLine
                return input
            }
            let running = try RunningTailer([input("all", "*.log", 100)], sink)
            let names = ["a.log", "b.log", "c.log"]
            var expected: [String: [String]] = [:]
            var total = 0
            for step in 0..<400 {
                let name = names.randomElement(using: &generator) ?? "a.log"
                switch Int.random(in: 0..<10, using: &generator) {
                case 0:
                    // What was read of it must be known before it goes, or nobody could tell what it is.
                    #expect(sink.wait { $0.lineCount == total })
                    guard rename(directory(name), directory(name + ".1")) == 0 else { continue }
                    nextTick(after: directory(name + ".1"))
                case 1, 2:
                    var inputs = [input("all", "*.log", Int.random(in: 90...100, using: &generator))]
                    for other in names where Bool.random(using: &generator) {
                        inputs.insert(
                            input("only-\(other)", other, 100), at: Int.random(in: 0...inputs.count, using: &generator))
                    }
                    running.tailer.follow(inputs, host: "h\(step)")
                default:
                    for _ in 0..<Int.random(in: 1...5, using: &generator) {
                        write("\(total)\n", to: directory(name))
                        expected[directory(name), default: []].append("\(total)")
                        total += 1
                    }
                }
            }
            #expect(sink.wait { $0.lineCount >= total })
            running.stop()
            for (path, lines) in expected { #expect(sink.texts(path) == lines) }
            #expect(sink.lineCount == total)
        }
    }
}
