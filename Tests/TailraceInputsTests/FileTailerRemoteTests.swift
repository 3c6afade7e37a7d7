import Glibc
import TailraceSpool
import TestSupport
import Testing

@testable import TailraceInputs

/// Files of a network file system: nobody tells of changes, and answers may be old.
@Suite struct FileTailerRemoteTests {
    private let directory = TemporaryDirectory()

    private func limits(poll: Duration = .milliseconds(20)) -> FileTailLimits {
        var limits = FileTailLimits.test
        limits.pollInterval = poll
        return limits
    }

    @Test func whatOthersWriteIsFoundWithoutEvents() throws {
        let place = try StaleFileSystem(directory)
        let sink = FakeSink()
        write("one\n", to: place.origin("a.log"))
        let running = try RunningTailer([input(place("*.log"))], sink, limits: limits())
        #expect(sink.wait { $0.lineCount == 1 })
        write("two\n", to: place.origin("a.log"))
        #expect(sink.wait { $0.lineCount == 2 })
        rename(place.origin("a.log"), place.origin("a.log.1"))
        write("three\n", to: place.origin("a.log"))
        #expect(sink.wait { $0.lineCount == 3 })
        #expect(running.tailer.statistics.polledDirectories == 1)
        running.stop()
        #expect(sink.texts(place("a.log")) == ["one", "two", "three"])
        #expect(running.tailer.statistics.doubts == 0)
    }

    /// For two seconds the server tells of each file something that is not true.
    @Test func oldSizesAndNULsAreWaitedOut() throws {
        let place = try StaleFileSystem(directory)
        let sink = FakeSink()
        let names = ["size", "empty", "nuls", "new", "long", "short", "wide", "down"]
        for name in names {
            let text = "one\ntwo\nthree\n"
            if name == "wide" {
                Writer(place.origin("wide.log")).write(TextEncodingTests.encode("\u{FEFF}" + text, .utf16LittleEndian))
            } else {
                write(text, to: place.origin("\(name).log"))
            }
        }
        let inputs = [input(place("*.log"), maximumLine: 200_000)]
        let running = try RunningTailer(inputs, sink, limits: limits(poll: .milliseconds(500)))
        #expect(sink.wait { $0.lineCount == 3 * names.count })
        running.stop()
        let answers = [
            "size size.log 8", "size empty.log 0", "nuls nuls.log 0", "nuls new.log 20", "nuls long.log 100000",
            "short short.log 3", "nuls wide.log 30", "size down.log 3",
        ]
        write(answers.map { $0 + "\n" }.joined(), to: place.origin(".answers"))
        let again = try RunningTailer(inputs, sink, limits: limits(poll: .milliseconds(500)))
        let long = String(repeating: "x", count: 150_000)
        for name in names where name != "down" {
            let text = (name == "long" ? long : "") + "four\nfive\n"
            if name == "wide" {
                Writer(place.origin("wide.log")).write(TextEncodingTests.encode(text, .utf16LittleEndian))
            } else {
                write(text, to: place.origin("\(name).log"))
            }
        }
        usleep(2_000_000)
        #expect(again.tailer.statistics.doubts >= 6)
        place.answer()
        write("four\nfive\n", to: place.origin("down.log"))
        #expect(sink.wait { $0.lineCount == 5 * names.count })
        again.stop()
        for name in names {
            #expect(
                sink.texts(place("\(name).log"))
                    == ["one", "two", "three", (name == "long" ? long : "") + "four", "five"], "\(name)")
        }
        #expect(again.tailer.statistics.restartedGenerations == 0)
        #expect(again.tailer.statistics.skippedNULs == 0)
        #expect(again.tailer.statistics.lostBytes == 0)
    }

    @Test func whatLastsIsTheTruth() throws {
        let place = try StaleFileSystem(directory)
        let sink = FakeSink()
        write("one\ntwo\n", to: place.origin("truncated.log"))
        write("one\ntwo\n", to: place.origin("replaced.log"))
        let running = try RunningTailer([input(place("*.log"))], sink, limits: limits())
        #expect(sink.wait { $0.lineCount == 4 })
        truncate(place.origin("truncated.log"), 0)
        write("new\n", to: place.origin("truncated.log"))
        truncate(place.origin("replaced.log"), 0)
        write("another, longer than it was\n", to: place.origin("replaced.log"))
        Writer(place.origin("nuls.log")).write(Array("a".utf8) + [0, 0, 0] + Array("b\n".utf8))
        #expect(sink.wait { $0.lineCount == 7 })
        #expect(running.tailer.statistics.restartedGenerations == 2)
        #expect(running.tailer.statistics.doubts == 3)
        running.stop()
        #expect(sink.texts(place("truncated.log")) == ["one", "two", "new"])
        #expect(sink.texts(place("replaced.log")) == ["one", "two", "another, longer than it was"])
        #expect(sink.texts(place("nuls.log")) == ["a\0\0\0b"])
    }
}
