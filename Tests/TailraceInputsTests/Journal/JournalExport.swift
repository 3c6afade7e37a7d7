import Glibc
import TestSupport

@testable import TailraceInputs

/// Entries in journald's export format, as tests need them.
struct JournalExport {
    private(set) var bytes: [UInt8] = []
    static let boot = "0123456789abcdef0123456789abcdef"
    static let sequenceID = "14864786234e42828c8c6144315aded7"
    /// Microseconds since 1970.
    static let start = 1_700_000_000_000_000

    static func cursor(
        _ number: Int, sequenceID: String = Self.sequenceID, boot: String = Self.boot, hash: Int? = nil,
        realtime: Int? = nil
    ) -> String {
        func hex(_ number: Int) -> String { String(number, radix: 16) }
        return "s=\(sequenceID);i=\(hex(number));b=\(boot);m=\(hex(1000 + number));"
            + "t=\(hex(realtime ?? start + number));x=\(hex(hash ?? number &* 7919))"
    }

    mutating func add(_ name: String, _ value: some Collection<UInt8>, asBinary: Bool = false) {
        bytes += Array(name.utf8)
        if asBinary || value.contains(0x0A) {
            bytes.append(0x0A)
            withUnsafeBytes(of: UInt64(value.count).littleEndian) { bytes += Array($0) }
        } else {
            bytes.append(UInt8(ascii: "="))
        }
        bytes += Array(value)
        bytes.append(0x0A)
    }

    mutating func add(_ name: String, _ value: String, asBinary: Bool = false) {
        add(name, Array(value.utf8), asBinary: asBinary)
    }

    mutating func end() { bytes.append(0x0A) }

    /// What journalctl puts before the fields of an entry.
    mutating func begin(_ number: Int, cursor: String? = nil, realtime: Int? = nil) {
        add("__CURSOR", cursor ?? Self.cursor(number))
        add("__REALTIME_TIMESTAMP", "\(realtime ?? Self.start + number)")
        add("__MONOTONIC_TIMESTAMP", "\(1000 + number)")
        add("_BOOT_ID", Self.boot)
    }

    mutating func entry(_ number: Int, cursor: String? = nil, _ fields: [(String, String)] = []) {
        begin(number, cursor: cursor)
        for (name, value) in fields { add(name, value) }
        if !fields.contains(where: { $0.0 == "MESSAGE" }) { add("MESSAGE", "entry \(number)") }
        end()
    }
}

/// What a test sees of an entry.
struct ParsedEntry: Equatable {
    var fields: [String: [String]] = [:]
    var body: [UInt8] = []
    var isWhole = true

    init(_ entry: JournalEntry, isWhole: Bool) {
        self.isWhole = isWhole
        body = Array(entry.body)
        for field in entry.fields {
            let name = String(decoding: entry.name(field), as: UTF8.self)
            fields[name, default: []].append(String(decoding: entry.value(field), as: UTF8.self))
        }
    }
}

/// Parses a stream in pieces whose lengths `next` gives.
func parse(
    _ bytes: [UInt8], maximumMessage: Int = 4096, pieces next: () -> Int
) -> (entries: [ParsedEntry], broken: String?) {
    var parser = JournalExportParser()
    let entry = JournalEntry(maximumMessage: maximumMessage)
    var entries: [ParsedEntry] = []
    var index = 0
    while index < bytes.count {
        let end = min(bytes.count, index + max(1, next()))
        // A copy of its own, so that an address checker sees reads beyond the piece.
        let piece = Array(bytes[index..<end])
        let broken: String? = piece.withUnsafeBytes { piece in
            var rest = piece
            while true {
                switch parser.parse(rest, into: entry) {
                case .needsMore: return nil
                case .broken(let text): return text
                case .complete(let consumed):
                    entries.append(ParsedEntry(entry, isWhole: true))
                    entry.reset()
                    rest = UnsafeRawBufferPointer(rebasing: rest[consumed...])
                case .incomplete(let consumed):
                    entries.append(ParsedEntry(entry, isWhole: false))
                    entry.reset()
                    rest = UnsafeRawBufferPointer(rebasing: rest[consumed...])
                }
            }
        }
        if let broken { return (entries, broken) }
        index = end
    }
    return (entries, nil)
}
