import Glibc
internal import OpenSSLTransport
internal import TailraceSpool

/// Turns entries into the attributes of records, in storage that is used again.
struct JournalRecord {
    /// Bytes of attributes of one record at most, so that it fits in a message of 1 MiB beside the longest body.
    static let maximumAttributes = 32 << 10
    /// Of these, for the properties that every record has and for what is wrong with it.
    private static let reserve = 1 << 10

    private let fields: JournalConfiguration.Fields
    private(set) var attributes: [UInt8] = []
    private var name: [UInt8] = []

    init(_ fields: JournalConfiguration.Fields) {
        self.fields = fields
        attributes.reserveCapacity(4096)
    }

    /// Encodes the attributes of `entry`.
    ///
    /// - Parameters:
    ///   - sequence: its number in the journal.
    ///   - isWhole: false when journalctl did not come to its end.
    mutating func encode(_ entry: JournalEntry, sequence: UInt64?, isWhole: Bool) {
        attributes.removeAll(keepingCapacity: true)
        // Leads, and is where the record is in its journal: consumers see gaps too.
        if let sequence {
            RecordAttributes.append(RecordAttributes.offsetKey, Int64(clamping: sequence), to: &attributes)
        }
        var problems: [String] = []
        append("severity", entry, .priority, 0...7, &problems)
        append("facility", entry, .facility, 0...23, &problems)
        let unit = entry.value(.userUnit) ?? entry.value(.unit)
        if let unit { RecordAttributes.append("unit", unit, to: &attributes) }
        let process = entry.value(.processID) ?? entry.value(.claimedProcessID)
        if let number = process.flatMap({ DecimalDigits.number($0) }) {
            RecordAttributes.append("pid", Int64(clamping: number), to: &attributes)
        }
        if let application = entry.value(.identifier) ?? entry.value(.command) {
            RecordAttributes.append("app", application, to: &attributes)
        }
        if let microseconds = entry.value(.realtime).flatMap({ DecimalDigits.number($0) }) {
            RecordAttributes.append(
                RecordAttributes.eventTimeKey, Int64(clamping: microseconds / 1000), to: &attributes)
        }
        if entry.messageLength > entry.body.count {
            RecordAttributes.append(RecordAttributes.truncatedKey, Int64(entry.messageLength), to: &attributes)
        }
        if !isWhole { problems.append("journald could not read all of the entry") }
        if !entry.hasMessage { problems.append("no MESSAGE") }
        // An entry without a message says what it has to say in its fields.
        if fields == .all || !entry.hasMessage { appendOthers(entry, &problems) }
        if !problems.isEmpty {
            var text = problems.joined(separator: "; ")
            text.withUTF8 {
                RecordAttributes.append(RecordAttributes.parseErrorKey, UnsafeRawBufferPointer($0), to: &attributes)
            }
        }
    }

    private mutating func append(
        _ key: StaticString, _ entry: JournalEntry, _ field: JournalField, _ range: ClosedRange<UInt64>,
        _ problems: inout [String]
    ) {
        guard let value = entry.value(field) else { return }
        if let number = DecimalDigits.number(value), range.contains(number) {
            RecordAttributes.append(key, Int64(number), to: &attributes)
        } else {
            problems.append("\(field.name) is no number from \(range.lowerBound) to \(range.upperBound)")
        }
    }

    /// The fields that are not properties yet, under their own names: a repeated one as `NAME.2` and so on, one that is
    /// no text in Base64 as `NAME.base64`.
    private mutating func appendOthers(_ entry: JournalEntry, _ problems: inout [String]) {
        var omitted = entry.omitted
        var cut = 0
        for (index, field) in entry.fields.enumerated()
        where !Self.isProperty(field.known) && !Self.isAddress(entry.name(field)) {
            let value = entry.value(field)
            name.removeAll(keepingCapacity: true)
            name.append(contentsOf: entry.name(field))
            let before = entry.fields[..<index].reduce(into: 0) { count, other in
                if Self.isSame(entry.name(other), entry.name(field)) { count += 1 }
            }
            if before > 0 { name.append(contentsOf: ".\(before + 1)".utf8) }
            let isText = Self.isText(value, wasCut: field.originalLength > field.valueLength)
            let size = isText ? value.count : (value.count + 2) / 3 * 4
            guard attributes.count + name.count + size + Self.reserve <= Self.maximumAttributes else {
                omitted += 1
                continue
            }
            if field.originalLength > field.valueLength { cut += 1 }
            if isText {
                name.withUnsafeBytes { RecordAttributes.append($0, value, to: &attributes) }
            } else {
                name.append(contentsOf: ".base64".utf8)
                var encoded = Base64.encode(value)
                name.withUnsafeBytes { name in
                    encoded.withUTF8 { RecordAttributes.append(name, UnsafeRawBufferPointer($0), to: &attributes) }
                }
            }
        }
        if omitted > 0 { problems.append("fields left out: \(omitted)") }
        if cut > 0 { problems.append("fields cut: \(cut)") }
    }

    /// Fields that are properties under other names.
    private static func isProperty(_ field: JournalField?) -> Bool {
        switch field {
        case .priority, .facility, .host: true
        default: false
        }
    }

    /// Where the entry is in the journal.
    private static func isAddress(_ name: UnsafeRawBufferPointer) -> Bool {
        name.starts(with: [UInt8(ascii: "_"), UInt8(ascii: "_")])
    }

    private static func isSame(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
        guard a.count == b.count, let first = a.baseAddress, let second = b.baseAddress else { return false }
        return memcmp(first, second, a.count) == 0
    }

    /// Whether it is UTF-8. A value that was cut may end within a character.
    private static func isText(_ value: UnsafeRawBufferPointer, wasCut: Bool) -> Bool {
        if value.allSatisfy({ $0 < 0x80 }) { return true }
        for end in 0...(wasCut ? min(3, value.count) : 0)
        where String(validating: value.dropLast(end), as: UTF8.self) != nil { return true }
        return false
    }
}
