import TailraceInputs
import TailraceSpool
import TestSupport
import Testing

/// What the watchdog sees of an input's threads.
@Suite struct StageMarkTests {
    private let directory = TemporaryDirectory("marks")

    @Test func whoWaitsForFilesOrForTheSpoolIsNotAtWork() throws {
        let sink = FakeSink()
        sink.block(true)
        write("one\n", to: directory("a.log"))
        let running = try RunningTailer([input(directory("*.log"))], sink)
        let mark = running.tailer.marks[0]
        #expect(running.tailer.marks.count == 1)
        #expect(sink.wait { $0.isWaiting })
        // Held back by the spool, which has a mark of its own.
        #expect(!mark.isAtWork)
        let before = mark.value
        sink.block(false)
        #expect(sink.wait { $0.lineCount == 1 && !mark.isAtWork })
        #expect(mark.value > before)
        running.stop()
        #expect(!mark.isAtWork)
    }
}
