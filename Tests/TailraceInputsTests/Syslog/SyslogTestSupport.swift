import Glibc
import Synchronization
import TestSupport

@testable import TailraceInputs
@testable import TailraceSpool

/// What a parser found, as text.
struct ParsedSyslog: Equatable, CustomStringConvertible {
    var facility: UInt8 = 1
    var severity: UInt8 = 5
    var time: String?
    var host = ""
    var app = ""
    var pid = ""
    var messageID = ""
    var data = ""
    var text = ""
    var problem: SyslogMessage.Problem?

    var description: String {
        "\(facility).\(severity) \(time ?? "-") host=\(host) app=\(app) pid=\(pid) msgid=\(messageID) sd=\(data)"
            + " problem=\(problem.map { "\($0)" } ?? "-") text=\(text)"
    }
}

/// 2024-03-15T12:00:00Z
let march15: Int64 = 1_710_504_000_000

func parse(_ bytes: [UInt8], received: Int64 = march15, zone: LocalZone = .utc) -> ParsedSyslog {
    bytes.withUnsafeBytes { bytes in
        let message = SyslogParser(zone: zone).parse(bytes, received: received)
        func text(_ part: SyslogMessage.Part) -> String { String(decoding: part.bytes(of: bytes), as: UTF8.self) }
        return ParsedSyslog(
            facility: message.facility, severity: message.severity, time: message.time.map(instant),
            host: text(message.hostname), app: text(message.app), pid: text(message.pid),
            messageID: text(message.messageID), data: text(message.structuredData), text: text(message.text),
            problem: message.problem)
    }
}

func parse(_ text: String, received: Int64 = march15, zone: LocalZone = .utc) -> ParsedSyslog {
    parse(Array(text.utf8), received: received, zone: zone)
}

/// `2024-03-15T12:00:00.000` of milliseconds since 1970, by the C library.
func instant(_ milliseconds: Int64) -> String {
    var seconds = time_t(milliseconds / 1000 - (milliseconds % 1000 < 0 ? 1 : 0))
    var parts = tm()
    gmtime_r(&seconds, &parts)
    func padded(_ number: Int32, _ width: Int = 2) -> String {
        let text = "\(number)"
        return String(repeating: "0", count: max(0, width - text.count)) + text
    }
    let fraction = Int32((milliseconds % 1000 + 1000) % 1000)
    return "\(padded(parts.tm_year + 1900, 4))-\(padded(parts.tm_mon + 1))-\(padded(parts.tm_mday))"
        + "T\(padded(parts.tm_hour)):\(padded(parts.tm_min)):\(padded(parts.tm_sec)).\(padded(fraction, 3))"
}

/// A record as a syslog input wrote it.
struct SyslogRecord {
    var body: [UInt8]
    var context: RecordContext
    var flags: RecordFlags
    var texts: [String: String] = [:]
    var numbers: [String: Int64] = [:]

    var text: String { String(decoding: body, as: UTF8.self) }
}

/// A spool that keeps everything in memory, and can be held.
final class SyslogSink: BatchSink {
    private struct State {
        var records: [SyslogRecord] = []
        var batches = 0
        var sections = 0
        var isHeld = false
        var isClosed = false
        var keepsRecords = true
        var count = 0
        var lost: Int64 = 0
        var notices: UInt64 = 0
    }
    private let state = Mutex(State())
    private let pool = BatchPool(blockCapacity: 1 << 20, limit: 4)

    /// - Parameter keepsRecords: otherwise they are only counted.
    init(keepsRecords: Bool = true) { state.withLock { $0.keepsRecords = keepsRecords } }

    var prospect: SinkProspect { SinkProspect() }

    func take(timeoutMilliseconds: Int) -> RecordBatch? {
        for _ in 0..<max(1, timeoutMilliseconds) {
            let (closed, held) = state.withLock { ($0.isClosed, $0.isHeld) }
            if closed { return nil }
            if !held, let batch = pool.take() { return batch }
            usleep(1000)
        }
        return nil
    }

    func append(_ batch: RecordBatch) -> Bool {
        while state.withLock({ $0.isHeld && !$0.isClosed }) { usleep(1000) }
        defer { batch.recycle() }
        if state.withLock({ $0.isClosed }) { return false }
        var records: [SyslogRecord] = []
        var lost: Int64 = 0
        for number in 0..<batch.partCount {
            let part = batch.part(number)
            guard let context = part.context.withUnsafeBytes({ RecordContext(decoding: $0) }) else {
                fatalError("a context that cannot be read")
            }
            var attributes: [Int: AttributeEntry] = [:]
            for entry in batch.attributes[part.attributes] { attributes[Int(entry.record)] = entry }
            for index in part.records {
                var record = SyslogRecord(
                    body: Array(batch.body(index)), context: context, flags: batch.records[index].flags)
                if let entry = attributes[index - part.records.lowerBound] {
                    let bytes = UnsafeRawBufferPointer(
                        start: batch.block + part.bytes.lowerBound + Int(entry.start), count: Int(entry.length))
                    let isWhole = RecordAttributes.forEach(in: bytes) { key, value in
                        let key = String(decoding: key, as: UTF8.self)
                        switch value {
                        case .integer(let number): record.numbers[key] = number
                        case .string(let text): record.texts[key] = String(decoding: text, as: UTF8.self)
                        }
                    }
                    precondition(isWhole, "attributes that end early")
                }
                lost += record.numbers["lost_datagrams"] ?? 0
                records.append(record)
            }
        }
        state.withLock {
            $0.batches += 1
            $0.sections += batch.partCount
            $0.count += records.count { $0.numbers["lost_datagrams"] == nil }
            $0.lost += lost
            $0.notices += UInt64(records.count { $0.numbers["lost_datagrams"] != nil })
            if $0.keepsRecords { $0.records += records }
        }
        return true
    }

    func hold(_ isHeld: Bool) { state.withLock { $0.isHeld = isHeld } }
    func close() { state.withLock { $0.isClosed = true } }
    var records: [SyslogRecord] { state.withLock { $0.records } }
    /// Of messages, without those that tell of losses.
    var count: Int { state.withLock { $0.count } }
    /// As the records tell.
    var lost: Int64 { state.withLock { $0.lost } }
    /// Records that tell it.
    var notices: UInt64 { state.withLock { $0.notices } }
    var sections: Int { state.withLock { $0.sections } }

    func waitFor(_ count: Int) -> Bool { poll { self.count >= count } }

    /// For records that are kept.
    func wait(until isEnough: ([SyslogRecord]) -> Bool) -> Bool { poll { isEnough(records) } }

    private func poll(_ isEnough: () -> Bool) -> Bool {
        for _ in 0..<60_000 {
            if isEnough() { return true }
            usleep(1000)
        }
        return isEnough()
    }
}
