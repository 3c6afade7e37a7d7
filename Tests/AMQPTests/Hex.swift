import NIOCore

/// Bytes from hexadecimal digits; spaces, new lines and `|` are for the reader.
func hex(_ text: String) -> ByteBuffer {
    let digits = text.compactMap { $0.hexDigitValue }
    precondition(digits.count % 2 == 0)
    var buffer = ByteBuffer()
    for i in stride(from: 0, to: digits.count, by: 2) { buffer.writeInteger(UInt8(digits[i] * 16 + digits[i + 1])) }
    return buffer
}

/// `hex` followed by text, as the captures are written.
func bytes(_ parts: Any...) -> ByteBuffer {
    var buffer = ByteBuffer()
    for part in parts {
        if let text = part as? Text {
            buffer.writeString(text.text)
        } else {
            buffer.writeImmutableBuffer(hex("\(part)"))
        }
    }
    return buffer
}

struct Text {
    var text: String
    init(_ text: String) { self.text = text }
}

extension ByteBuffer {
    var hex: String {
        readableBytesView.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
