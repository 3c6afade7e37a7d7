/// What a syslog message says about itself: numbers, and ranges of its bytes. Everything is claimed by the sender.
package struct SyslogMessage: Equatable, Sendable {
    /// Some of the message's bytes; empty for what is missing.
    package struct Part: Equatable, Sendable {
        package var start: UInt32 = 0
        package var length: UInt32 = 0

        package init() {}

        init(_ start: Int, _ end: Int) {
            self.start = UInt32(start)
            length = UInt32(end - start)
        }

        package var isEmpty: Bool { length == 0 }

        /// These bytes of the message.
        package func bytes(of message: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(rebasing: message[Int(start)..<Int(start + length)])
        }
    }

    /// Where the message is not what it should be: a word or two for the record's `parse_error`.
    package enum Problem: UInt8, Equatable, Sendable, CaseIterable {
        case empty, noPriority, priority, time, header, structuredData

        package var text: StaticString {
            switch self {
            case .empty: "empty"
            case .noPriority: "no priority"
            case .priority: "priority out of range"
            case .time: "time"
            case .header: "header ends early"
            case .structuredData: "structured data"
            }
        }
    }

    /// 0–23; 1 (user) where the message does not say.
    package var facility: UInt8 = 1
    /// 0–7; 5 (notice) where the message does not say.
    package var severity: UInt8 = 5
    /// Milliseconds since 1970.
    package var time: Int64?
    package var hostname = Part()
    package var app = Part()
    package var pid = Part()
    package var messageID = Part()
    /// As sent, with its brackets and escapes (see `StructuredData`).
    package var structuredData = Part()
    /// Without header, and without the byte order mark that RFC 5424 puts before UTF-8.
    package var text = Part()
    /// The first thing that is wrong.
    package var problem: Problem?
    package var isRFC5424 = false

    package init() {}

    mutating func note(_ problem: Problem) { if self.problem == nil { self.problem = problem } }
}
