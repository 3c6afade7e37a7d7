internal import AMQP

/// The three annotations that idempotent publishing puts on every event, found in the event's bytes.
package struct EventAnnotations {
    /// Where the values begin, at their constructors; nil: the event has no such annotation.
    package private(set) var producerID: Int?
    package private(set) var epoch: Int?
    package private(set) var number: Int?
    /// Where the section with the annotations ends.
    package private(set) var end = 0

    /// Nil: the event's bytes have a form that only `AMQPMessage` reads.
    package init?(in event: UnsafeRawBufferPointer) {
        var scanner = SectionScanner(event)
        while true {
            switch scanner.next() {
            case .section(.header, _, _), .section(.deliveryAnnotations, _, _): continue
            case .section(.messageAnnotations, let value, let content):
                guard find(in: event, value.lowerBound, content) else { return nil }
                end = content.upperBound
                return
            case .section, .end: return
            case .unusual: return nil
            }
        }
    }

    /// Constructors of the fixed-width encodings.
    package static let longCode: UInt8 = 0x81
    package static let shortCode: UInt8 = 0x61
    package static let intCode: UInt8 = 0x71

    private mutating func find(in event: UnsafeRawBufferPointer, _ constructor: Int, _ content: Range<Int>) -> Bool {
        // The count of items follows the size; a map8 has it in one byte, a map32 in four.
        let head = event[constructor] == 0xC1 ? 1 : event[constructor] == 0xD1 ? 4 : 0
        guard head > 0, content.count >= head else { return false }
        var at = content.lowerBound + head
        while at < content.upperBound {
            guard let value = Self.skip(event, at, content.upperBound), value < content.upperBound,
                let next = Self.skip(event, value, content.upperBound)
            else { return false }
            if event[at] == 0xA3 {
                let name = UnsafeRawBufferPointer(rebasing: event[(at + 2)..<value])
                if Self.equal(name, Self.numberName) {
                    number = value
                } else if Self.equal(name, Self.epochName) {
                    epoch = value
                } else if Self.equal(name, Self.producerIDName) {
                    producerID = value
                }
            }
            at = next
        }
        return true
    }

    private static let producerIDName = Array(EventHubsName.producerID.utf8)
    private static let epochName = Array(EventHubsName.producerEpoch.utf8)
    private static let numberName = Array(EventHubsName.producerSequenceNumber.utf8)

    private static func equal(_ bytes: UnsafeRawBufferPointer, _ name: [UInt8]) -> Bool {
        bytes.count == name.count && bytes.elementsEqual(name)
    }

    /// The end of the value at `at`; nil: it goes beyond `end`, or has a descriptor.
    private static func skip(_ bytes: UnsafeRawBufferPointer, _ at: Int, _ end: Int) -> Int? {
        let length: Int
        // The high four bits tell the width, or how the width is told (part 1, section 1.3).
        switch bytes[at] >> 4 {
        case 0x4: length = 1
        case 0x5: length = 2
        case 0x6: length = 3
        case 0x7: length = 5
        case 0x8: length = 9
        case 0x9: length = 17
        case 0xA, 0xC, 0xE:
            guard end - at >= 2 else { return nil }
            length = 2 + Int(bytes[at + 1])
        case 0xB, 0xD, 0xF:
            guard end - at >= 5 else { return nil }
            length = 5 + Int(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: at + 1, as: UInt32.self)))
        default: return nil
        }
        return length <= end - at ? at + length : nil
    }
}
