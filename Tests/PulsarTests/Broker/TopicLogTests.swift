import Glibc
import NIOCore
import TestSupport
import Testing

@testable import Pulsar
@testable import PulsarBroker

@Suite struct TopicLogTests {
    private let directory = TemporaryDirectory("topic-log")

    private func entry(_ text: String, sequenceID: UInt64 = 0) -> FramePayload {
        FramePayload(
            metadata: MessageMetadata(producerName: "p", sequenceID: sequenceID, publishTime: 1),
            payload: ByteBuffer(string: text))
    }

    private func texts(_ path: String) throws -> [String] {
        var found: [String] = []
        _ = try TopicLog(path: path) { found.append(String(buffer: $0.payload)) }
        return found
    }

    @Test func entriesAreThereAgainAfterTheFileIsOpened() throws {
        let path = directory("a")
        do {
            let log = try TopicLog(path: path) { _ in Issue.record("a new file is empty") }
            #expect(try log.append(entry("one")) == 0)
            #expect(try log.append(entry("")) == 1)
            #expect(try log.append(entry("three")) == 2)
            #expect(try log.entry(2) == entry("three"))
        }
        #expect(try texts(path) == ["one", "", "three"])
    }

    /// Whatever a kill leaves of the last write, what was there before is there, and the file can be appended to.
    @Test func aTornEntryIsCutOff() throws {
        let path = directory("b")
        do {
            let log = try TopicLog(path: path) { _ in }
            _ = try log.append(entry("one"))
            _ = try log.append(entry("two"))
        }
        let whole = ChildProcess.bytes(path)
        let first = whole.count / 2
        for length in first..<whole.count {
            #expect(truncate(path, off_t(length)) == 0)
            do {
                let log = try TopicLog(path: path) { _ in }
                #expect(log.count == 1)
                _ = try log.append(entry("two"))
            }
            #expect(ChildProcess.bytes(path) == whole)
        }
    }

    @Test func aDamagedEntryEndsTheTopic() throws {
        let path = directory("c")
        do {
            let log = try TopicLog(path: path) { _ in }
            for text in ["one", "two", "three"] { _ = try log.append(entry(text)) }
        }
        let descriptor = open(path, O_WRONLY)
        #expect(pwrite(descriptor, "X", 1, off_t(ChildProcess.bytes(path).count / 3 + 12)) == 1)
        close(descriptor)
        #expect(try texts(path) == ["one"])
    }

    @Test func topicsHaveFilesOfTheirOwn() {
        for topic in ["persistent://public/default/a-partition-3", "persistent://t/n/ä %/../x", "", "%"] {
            let name = TopicFileName.name(of: topic)
            #expect(!name.contains("/"))
            #expect(TopicFileName.topic(of: name) == topic)
        }
        #expect(TopicFileName.topic(of: "%zz.topic") == nil)
        #expect(TopicFileName.topic(of: "ca.pem") == nil)
    }
}
