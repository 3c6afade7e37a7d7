/// Writes JSON, compact and in the order of the calls.
///
/// Only what a status needs: objects, arrays, strings, integers, booleans, null. A string's bytes that are not UTF-8
/// cannot occur, as `String` has none.
package struct JSONText {
    package private(set) var bytes: [UInt8] = []
    private var needsComma = false

    package init() {}

    package mutating func object(_ body: (inout JSONText) -> Void) { enclose("{", "}", body) }

    package mutating func array<Element>(
        _ elements: some Sequence<Element>, _ body: (inout JSONText, Element) -> Void
    ) {
        enclose("[", "]") { json in
            for element in elements { body(&json, element) }
        }
    }

    /// What is written next is the value of `key`.
    package mutating func key(_ key: String) {
        beginValue()
        append(quoted: key)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    package mutating func field(_ name: String, _ value: String?) {
        key(name)
        self.value(value)
    }

    package mutating func field(_ name: String, _ value: some BinaryInteger) {
        key(name)
        self.value(value)
    }

    package mutating func field(_ name: String, _ value: Bool) {
        key(name)
        beginValue()
        bytes.append(contentsOf: (value ? "true" : "false").utf8)
    }

    package mutating func field(_ name: String, _ body: (inout JSONText) -> Void) {
        key(name)
        object(body)
    }

    package mutating func value(_ text: String?) {
        beginValue()
        if let text { append(quoted: text) } else { bytes.append(contentsOf: "null".utf8) }
    }

    package mutating func value(_ number: some BinaryInteger) {
        beginValue()
        bytes.append(contentsOf: String(number).utf8)
    }

    private mutating func enclose(_ open: Unicode.Scalar, _ close: Unicode.Scalar, _ body: (inout JSONText) -> Void) {
        beginValue()
        bytes.append(UInt8(ascii: open))
        needsComma = false
        body(&self)
        bytes.append(UInt8(ascii: close))
        needsComma = true
    }

    private mutating func beginValue() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = true
    }

    private mutating func append(quoted text: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case UInt8(ascii: "\n"): bytes.append(contentsOf: "\\n".utf8)
            case 0..<0x20:
                let digits = Array("0123456789abcdef".utf8)
                bytes.append(contentsOf: "\\u00".utf8)
                bytes.append(digits[Int(byte >> 4)])
                bytes.append(digits[Int(byte & 15)])
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
