import Glibc
import TailraceSpool
import TestSupport
import Testing

@testable import TailraceInputs

/// Questions and orders of other threads to a running tailer.
@Suite struct FileTailerRequestTests {
    private let directory = TemporaryDirectory()
    private var log: String { directory("a.log") }

    private func readThree(_ sink: FakeSink) throws -> RunningTailer {
        write("one\ntwo\nthree\n", to: log)
        let running = try RunningTailer([input(directory("*.log"))], sink)
        #expect(sink.wait { $0.lineCount == 3 })
        return running
    }

    @Test func aPositionSetBackSendsExactlyWhatFollowsAgain() throws {
        let sink = FakeSink()
        let running = try readThree(sink)
        let change = running.tailer.setPosition(log, to: .offset(4))
        #expect(
            change == .success(PositionChange(path: log, source: log, from: 14, to: 4, isReadAgain: true)))
        #expect(running.tailer.handOverPositions())
        #expect(sink.wait { $0.lineCount == 5 })
        write("four\n", to: log)
        #expect(sink.wait { $0.lineCount == 6 })
        running.stop()
        #expect(sink.texts(log) == ["one", "two", "three", "two", "three", "four"])
        #expect(sink.lines[log]?.map(\.offset) == [0, 4, 8, 4, 8, 14])
    }

    @Test func whatWasSetIsWhereTheNextStartGoesOn() throws {
        let sink = FakeSink()
        let running = try readThree(sink)
        #expect(running.tailer.setPosition(log, to: .offset(8)) != nil)
        #expect(running.tailer.handOverPositions())
        running.stop()
        let next = try RunningTailer([input(directory("*.log"))], sink)
        write("four\n", to: log)
        #expect(sink.wait { $0.texts(self.log).last == "four" })
        next.stop()
        #expect(sink.texts(log) == ["one", "two", "three", "three", "four"])
    }

    @Test func aPositionAtTheEndPassesOverWholeLinesOnly() throws {
        let sink = FakeSink()
        sink.hold(true)
        write("one\ntwo\npart", to: log)
        let running = try RunningTailer([input(directory("*.log"))], sink)
        // The tailer waits for a batch, in the middle of reading: an order to move must wait too, a question need not.
        while (running.tailer.explain(log) ?? nil)?.state.size != 12 { usleep(1000) }
        #expect(running.tailer.setPosition(log, to: .end, timeoutMilliseconds: 50) == nil)
        sink.hold(false)
        #expect(sink.wait { $0.lineCount == 2 })
        #expect(
            running.tailer.setPosition(log, to: .end)
                == .success(PositionChange(path: log, source: log, from: 8, to: 8, isReadAgain: false)))
        write("ial\nthree\n", to: log)
        #expect(sink.wait { $0.lineCount == 4 })
        running.stop()
        #expect(sink.texts(log) == ["one", "two", "partial", "three"])
    }

    @Test func whatCannotBeSetIsRefusedAndChangesNothing() throws {
        let sink = FakeSink()
        let running = try readThree(sink)
        func refusal(_ path: String, _ place: PositionPlace) -> String? {
            if case .failure(let refusal)? = running.tailer.setPosition(path, to: place) { return refusal.reason }
            return nil
        }
        #expect(refusal(log, .offset(6)) == "\(log) has no line that begins at 6: the one there begins at 4")
        #expect(refusal(log, .offset(15)) == "\(log) has only 14 bytes")
        #expect(refusal(log, .offset(.max)) == "\(log) has only 14 bytes")
        #expect(refusal(directory("none.log"), .end)?.contains("no file input has a file at") == true)
        write("four\n", to: log)
        #expect(sink.wait { $0.lineCount == 4 })
        running.stop()
        #expect(sink.texts(log) == ["one", "two", "three", "four"])
    }

    @Test func aForgottenFileIsReadFromItsBeginningAndAGoneOneIsGone() throws {
        let sink = FakeSink()
        let running = try readThree(sink)
        #expect(
            running.tailer.forgetPosition(log)
                == .success(PositionChange(path: log, source: log, from: 14, to: 0, isReadAgain: true)))
        #expect(sink.wait { $0.lineCount == 6 })
        #expect(sink.texts(log) == ["one", "two", "three", "one", "two", "three"])
        #expect(running.tailer.handOverPositions())
        // One generation is kept, the later one.
        #expect(sink.positions.compactMap { StoredFilePosition(source: $0, value: $1)?.generation } == [1])
        running.stop()

        unlink(log)
        write("other\n", to: directory("b.log"))
        let next = try RunningTailer([input(directory("*.log"))], sink)
        #expect(sink.wait { $0.lineCount == 7 })
        #expect(
            next.tailer.forgetPosition(log)
                == .success(PositionChange(path: log, source: log, from: 14, to: nil, isReadAgain: false)))
        #expect(next.tailer.handOverPositions())
        #expect(
            sink.positions.compactMap { StoredFilePosition(source: $0, value: $1)?.path } == [directory("b.log")])
        guard case .failure? = next.tailer.forgetPosition(log) else {
            Issue.record("forgotten twice")
            return
        }
        next.stop()
    }

    @Test func aQuestionTellsHowTheFileStands() throws {
        let sink = FakeSink()
        let running = try readThree(sink)
        write("part", to: log)
        func known(_ path: String) -> KnownFile? { running.tailer.explain(path) ?? nil }
        while known(log)?.unfinishedLine != 4 { usleep(1000) }
        #expect(known(log)?.state.offset == 14)
        #expect(known(log)?.state.condition == .followed)
        #expect(known(directory("none.log")) == nil)
        // The same file by another name.
        symlink(log, directory("link"))
        #expect(known(directory("link"))?.state.path == log)
        rename(log, directory("a.log.1"))
        write("new\n", to: log)
        #expect(sink.wait { $0.lineCount == 5 })
        #expect(known(directory("a.log.1"))?.state.source == log)
        #expect(known(directory("a.log.1"))?.state.condition == .rotated)
        running.stop()
    }

    @Test func anEndedTailerAnswersNobody() throws {
        let sink = FakeSink()
        let running = try readThree(sink)
        running.stop()
        #expect(running.tailer.setPosition(log, to: .end, timeoutMilliseconds: 20) == nil)
        #expect(running.tailer.explain(log, timeoutMilliseconds: 20) == nil)
    }
}
