import Glibc

/// One journal entry, gathered field by field into storage that is used again for the next one.
///
/// The message has its own storage, because it may be large; what exceeds the limits is counted and not kept.
package final class JournalEntry {
    /// Bytes of names and values kept in all, besides the message; and of those what only fields without a meaning may
    /// take, so that there is room for the others wherever they stand.
    static let maximumFieldBytes = 64 << 10
    static let maximumOtherBytes = 40 << 10
    /// Bytes of one value kept.
    static let maximumValue = 8 << 10
    /// Of a field that has a meaning.
    static let maximumKnownValue = 1 << 10
    /// journald's own limit.
    static let maximumFields = 1024

    struct Field {
        var nameStart: Int
        var nameLength: Int
        var valueStart: Int
        var valueLength: Int
        /// What the value had before it was cut.
        var originalLength: Int
        var known: JournalField?
    }

    private enum Target { case none, message, field }

    /// Bytes of the message kept at most.
    let maximumMessage: Int
    private let storage: UnsafeMutableRawPointer
    private var used = 0
    private var otherBytes = 0
    private var message: UnsafeMutableRawPointer
    private var messageCapacity: Int
    private var messageUsed = 0
    private var target = Target.none
    private var current = Field(nameStart: 0, nameLength: 0, valueStart: 0, valueLength: 0, originalLength: 0)
    /// Where the first field of each meaning is in `fields`; -1: nowhere.
    private var places: [Int]

    private(set) var fields: [Field] = []
    /// Fields that found no room.
    private(set) var omitted = 0
    /// Of all messages of the entry, with a newline between two of them; it may be more than is kept.
    private(set) var messageLength = 0
    private(set) var hasMessage = false

    /// - Parameter maximumMessage: bytes of the message that are kept.
    package init(maximumMessage: Int) {
        self.maximumMessage = maximumMessage
        storage = .allocate(byteCount: Self.maximumFieldBytes, alignment: 16)
        messageCapacity = min(maximumMessage, 64 << 10)
        message = .allocate(byteCount: max(1, messageCapacity), alignment: 16)
        places = Array(repeating: -1, count: JournalField.allCases.count)
        fields.reserveCapacity(64)
    }

    deinit {
        storage.deallocate()
        message.deallocate()
    }

    package var isEmpty: Bool { fields.isEmpty && !hasMessage }

    /// As much of the message as is kept.
    package var body: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: message, count: messageUsed) }

    /// The value of the first field with this meaning; nil when there is none.
    func value(_ field: JournalField) -> UnsafeRawBufferPointer? {
        let place = places[field.rawValue]
        return place < 0 ? nil : value(fields[place])
    }

    func value(_ field: Field) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: storage + field.valueStart, count: field.valueLength)
    }

    func name(_ field: Field) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: storage + field.nameStart, count: field.nameLength)
    }

    /// Forgets everything; the storage stays.
    package func reset() {
        used = 0
        otherBytes = 0
        messageUsed = 0
        messageLength = 0
        hasMessage = false
        target = .none
        for field in fields { if let known = field.known { places[known.rawValue] = -1 } }
        fields.removeAll(keepingCapacity: true)
        omitted = 0
    }

    // MARK: What the parser calls

    func beginField() {
        current = Field(nameStart: used, nameLength: 0, valueStart: 0, valueLength: 0, originalLength: 0)
        target = .none
    }

    func appendName(_ bytes: UnsafeRawBufferPointer) {
        guard used + bytes.count <= Self.maximumFieldBytes, let base = bytes.baseAddress else {
            current.nameLength = -JournalExportParser.maximumName
            return
        }
        (storage + used).copyMemory(from: base, byteCount: bytes.count)
        used += bytes.count
        current.nameLength += bytes.count
    }

    /// The name is whole. True when it begins the next entry: then this one ended without its end.
    func endNameIsNextCursor() -> Bool {
        guard current.nameLength > 0 else {
            omit()
            return false
        }
        current.known = JournalField(name(current))
        switch current.known {
        case .message:
            used = current.nameStart
            target = .message
            if hasMessage { withUnsafeBytes(of: 0x0A as UInt8) { append(toMessage: $0) } }
            hasMessage = true
        case .cursor where value(.cursor) != nil:
            used = current.nameStart
            return true
        case let known:
            let isFirst = known.map { places[$0.rawValue] < 0 } ?? true
            if !isFirst { current.known = nil }
            let isFull = current.known == nil && otherBytes + current.nameLength > Self.maximumOtherBytes
            guard !isFull, fields.count < Self.maximumFields else {
                omit()
                return false
            }
            current.valueStart = used
            target = .field
        }
        return false
    }

    /// The cursor of an entry that began before the last one had ended.
    func beginCursor() {
        beginField()
        let name = JournalField.cursor.name
        appendName(UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
        _ = endNameIsNextCursor()
    }

    func appendValue(_ bytes: UnsafeRawBufferPointer) {
        switch target {
        case .none: break
        case .message: append(toMessage: bytes)
        case .field:
            current.originalLength += bytes.count
            let limit = current.known == nil ? Self.maximumValue : Self.maximumKnownValue
            var room = min(limit - current.valueLength, Self.maximumFieldBytes - used)
            if current.known == nil {
                room = min(room, Self.maximumOtherBytes - otherBytes - current.nameLength - current.valueLength)
            }
            let count = min(bytes.count, max(0, room))
            guard count > 0, let base = bytes.baseAddress else { break }
            (storage + used).copyMemory(from: base, byteCount: count)
            used += count
            current.valueLength += count
        }
    }

    func endField() {
        guard target == .field else { return }
        target = .none
        if let known = current.known {
            places[known.rawValue] = fields.count
        } else {
            otherBytes += current.nameLength + current.valueLength
        }
        fields.append(current)
    }

    /// What has been read of the field was none.
    func abandonField() {
        used = current.nameStart
        target = .none
    }

    private func omit() {
        omitted += 1
        used = current.nameStart
        target = .none
    }

    // MARK: The message

    private func append(toMessage bytes: UnsafeRawBufferPointer) {
        messageLength += bytes.count
        let count = min(bytes.count, maximumMessage - messageUsed)
        guard count > 0, let base = bytes.baseAddress else { return }
        if messageUsed + count > messageCapacity {
            let capacity = min(maximumMessage, max(messageCapacity * 2, messageUsed + count))
            let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
            larger.copyMemory(from: message, byteCount: messageUsed)
            message.deallocate()
            message = larger
            messageCapacity = capacity
        }
        (message + messageUsed).copyMemory(from: base, byteCount: count)
        messageUsed += count
    }
}
