package import NIOCore

/// Writing AMQP values straight into one buffer, each in its smallest encoding.
extension ByteBuffer {
    package mutating func writeAMQP(null: Void = ()) { writeInteger(0x40 as UInt8) }

    package mutating func writeAMQP(boolean value: Bool) { writeInteger(value ? 0x41 : 0x42 as UInt8) }

    package mutating func writeAMQP(ubyte value: UInt8) { writeMultipleIntegers(0x50 as UInt8, value) }

    package mutating func writeAMQP(ushort value: UInt16) { writeMultipleIntegers(0x60 as UInt8, value) }

    package mutating func writeAMQP(uint value: UInt32) {
        if value == 0 {
            writeInteger(0x43 as UInt8)
        } else if let small = UInt8(exactly: value) {
            writeMultipleIntegers(0x52 as UInt8, small)
        } else {
            writeMultipleIntegers(0x70 as UInt8, value)
        }
    }

    package mutating func writeAMQP(ulong value: UInt64) {
        if value == 0 {
            writeInteger(0x44 as UInt8)
        } else if let small = UInt8(exactly: value) {
            writeMultipleIntegers(0x53 as UInt8, small)
        } else {
            writeMultipleIntegers(0x80 as UInt8, value)
        }
    }

    package mutating func writeAMQP(int value: Int32) {
        if let small = Int8(exactly: value) {
            writeMultipleIntegers(0x54 as UInt8, small)
        } else {
            writeMultipleIntegers(0x71 as UInt8, value)
        }
    }

    package mutating func writeAMQP(long value: Int64) {
        if let small = Int8(exactly: value) {
            writeMultipleIntegers(0x55 as UInt8, small)
        } else {
            writeMultipleIntegers(0x81 as UInt8, value)
        }
    }

    package mutating func writeAMQP(timestamp value: Int64) { writeMultipleIntegers(0x83 as UInt8, value) }

    package mutating func writeAMQP(uuid value: AMQPUUID) {
        writeMultipleIntegers(0x98 as UInt8, value.high, value.low)
    }

    package mutating func writeAMQP(string value: String) { writeAMQP(text: value, small: 0xA1, large: 0xB1) }

    package mutating func writeAMQP(symbol value: String) { writeAMQP(text: value, small: 0xA3, large: 0xB3) }

    private mutating func writeAMQP(text: String, small: UInt8, large: UInt8) {
        writeAMQPVariable(text.utf8.count, small: small, large: large)
        writeString(text)
    }

    package mutating func writeAMQP(binary value: ByteBuffer) {
        writeAMQPVariable(value.readableBytes, small: 0xA0, large: 0xB0)
        writeImmutableBuffer(value)
    }

    /// Constructor and length of a binary whose bytes the caller writes next (or sends as a buffer of their own).
    package mutating func writeAMQP(binaryOfCount count: Int) {
        writeAMQPVariable(count, small: 0xA0, large: 0xB0)
    }

    private mutating func writeAMQPVariable(_ count: Int, small: UInt8, large: UInt8) {
        if let short = UInt8(exactly: count) {
            writeMultipleIntegers(small, short)
        } else {
            writeMultipleIntegers(large, UInt32(count))
        }
    }

    /// `00 53 code`: the descriptor of a type of the specification.
    package mutating func writeAMQP(descriptor code: UInt8) {
        writeMultipleIntegers(0x00 as UInt8, 0x53 as UInt8, code)
    }

    /// An array of symbols.
    package mutating func writeAMQP(symbols: [String]) {
        writeAMQP(.array(symbols.map(AMQPValue.symbol)))
    }

    package mutating func writeAMQP(map: AMQPMap) {
        let start = beginAMQPCompound(0xC1)
        for entry in map.entries {
            writeAMQP(entry.key)
            writeAMQP(entry.value)
        }
        endAMQPCompound(start, count: map.entries.count * 2, large: 0xD1)
    }

    /// Any value.
    ///
    /// The elements of an array must be of one type (with the same descriptors); anything else is a mistake of the
    /// caller.
    package mutating func writeAMQP(_ value: AMQPValue) {
        switch value {
        case .null: writeAMQP(null: ())
        case .boolean(let value): writeAMQP(boolean: value)
        case .uint(let value): writeAMQP(uint: value)
        case .ulong(let value): writeAMQP(ulong: value)
        case .int(let value): writeAMQP(int: value)
        case .long(let value): writeAMQP(long: value)
        case .string(let value): writeAMQP(string: value)
        case .symbol(let value): writeAMQP(symbol: value)
        case .binary(let value): writeAMQP(binary: value)
        case .map(let map): writeAMQP(map: map)
        case .list(let elements):
            if elements.isEmpty {
                writeInteger(0x45 as UInt8)
            } else {
                let start = beginAMQPCompound(0xC0)
                for element in elements { writeAMQP(element) }
                endAMQPCompound(start, count: elements.count, large: 0xD0)
            }
        case .array(let elements): writeAMQP(array: elements)
        case .described(let descriptor, let value):
            writeInteger(0x00 as UInt8)
            writeAMQP(descriptor)
            writeAMQP(value)
        case .ubyte, .ushort, .byte, .short, .float, .double, .decimal32, .decimal64, .decimal128, .char, .timestamp,
            .uuid:
            let code = Self.arrayConstructor([value])
            writeInteger(code)
            writeAMQPElement(value, code)
        }
    }

    // MARK: Compounds

    /// Writes the small header of a list, map or array; `endAMQPCompound` fills in size and count.
    package mutating func beginAMQPCompound(_ small: UInt8) -> Int {
        let start = writerIndex
        writeMultipleIntegers(small, 0 as UInt8, 0 as UInt8)
        return start
    }

    /// `large`: the constructor to use when size or count need more than a byte; the content then moves by six bytes.
    package mutating func endAMQPCompound(_ start: Int, count: Int, large: UInt8) {
        let content = writerIndex - start - 3
        if content < 255, count <= 255 {
            setInteger(UInt8(content + 1), at: start + 1)
            setInteger(UInt8(count), at: start + 2)
        } else {
            writeRepeatingByte(0, count: 6)
            moveAMQPBytes(at: start + 3, to: start + 9, length: content)
            setInteger(large, at: start)
            setInteger(UInt32(content + 4), at: start + 1)
            setInteger(UInt32(count), at: start + 5)
        }
    }

    private mutating func moveAMQPBytes(at from: Int, to: Int, length: Int) {
        // The indices come from `beginAMQPCompound` and lie below the writer index.
        do { try copyBytes(at: from, to: to, length: length) } catch { preconditionFailure("\(error)") }
    }

    // MARK: Arrays

    private mutating func writeAMQP(array elements: [AMQPValue]) {
        let start = beginAMQPCompound(0xE0)
        writeAMQPArrayBody(elements)
        endAMQPCompound(start, count: elements.count, large: 0xF0)
    }

    /// Constructor, then the elements without theirs.
    private mutating func writeAMQPArrayBody(_ elements: [AMQPValue]) {
        var elements = elements
        while case .described(let descriptor, _)? = elements.first {
            writeInteger(0x00 as UInt8)
            writeAMQP(descriptor)
            elements = elements.map { element in
                guard case .described(descriptor, let inner) = element else {
                    preconditionFailure("an AMQP array has elements with different descriptors")
                }
                return inner
            }
        }
        let code = Self.arrayConstructor(elements)
        let constructor = writerIndex
        writeInteger(code)
        let content = writerIndex
        for element in elements { writeAMQPElement(element, code) }
        if code >= 0xD0 { narrowAMQPElements(from: content, constructor: constructor) }
    }

    /// Lists, maps and arrays inside an array share one constructor. They are written with four-byte sizes; when all of
    /// them would fit the one-byte form, they are moved together here.
    private mutating func narrowAMQPElements(from content: Int, constructor: Int) {
        var index = content
        while index < writerIndex, let size: UInt32 = getInteger(at: index),
            let count: UInt32 = getInteger(at: index + 4)
        {
            guard size - 3 <= 255, count <= 255 else { return }
            index += 4 + Int(size)
        }
        var target = content
        index = content
        while index < writerIndex, let size: UInt32 = getInteger(at: index),
            let count: UInt32 = getInteger(at: index + 4)
        {
            let length = Int(size) - 4
            setInteger(UInt8(size - 3), at: target)
            setInteger(UInt8(count), at: target + 1)
            moveAMQPBytes(at: index + 8, to: target + 2, length: length)
            index += 8 + length
            target += 2 + length
        }
        moveWriterIndex(to: target)
        if let code: UInt8 = getInteger(at: constructor) { setInteger(code - 0x10, at: constructor) }
    }

    /// The narrowest constructor that suits all elements; booleans always take a byte, so that only an array of nulls
    /// has elements without bytes.
    private static func arrayConstructor(_ elements: [AMQPValue]) -> UInt8 {
        guard let first = elements.first else { return 0x40 }
        switch first {
        case .null: return 0x40
        case .boolean: return 0x56
        case .ubyte: return 0x50
        case .ushort: return 0x60
        case .uint: return elements.allSatisfy { if case .uint(let v) = $0 { v <= 255 } else { true } } ? 0x52 : 0x70
        case .ulong: return elements.allSatisfy { if case .ulong(let v) = $0 { v <= 255 } else { true } } ? 0x53 : 0x80
        case .byte: return 0x51
        case .short: return 0x61
        case .int:
            return elements.allSatisfy { if case .int(let v) = $0 { Int8(exactly: v) != nil } else { true } }
                ? 0x54 : 0x71
        case .long:
            return elements.allSatisfy { if case .long(let v) = $0 { Int8(exactly: v) != nil } else { true } }
                ? 0x55 : 0x81
        case .float: return 0x72
        case .double: return 0x82
        case .decimal32: return 0x74
        case .decimal64: return 0x84
        case .decimal128: return 0x94
        case .char: return 0x73
        case .timestamp: return 0x83
        case .uuid: return 0x98
        case .binary:
            return elements.allSatisfy { if case .binary(let v) = $0 { v.readableBytes <= 255 } else { true } }
                ? 0xA0 : 0xB0
        case .string:
            return elements.allSatisfy { if case .string(let v) = $0 { v.utf8.count <= 255 } else { true } }
                ? 0xA1 : 0xB1
        case .symbol:
            return elements.allSatisfy { if case .symbol(let v) = $0 { v.utf8.count <= 255 } else { true } }
                ? 0xA3 : 0xB3
        case .list: return 0xD0
        case .map: return 0xD1
        case .array: return 0xF0
        case .described: preconditionFailure("descriptors are written before the constructor")
        }
    }

    /// One value without its constructor, in the form that `code` announces.
    private mutating func writeAMQPElement(_ value: AMQPValue, _ code: UInt8) {
        switch (value, code) {
        case (.null, 0x40): break
        case (.boolean(let value), 0x56): writeInteger(value ? 1 : 0 as UInt8)
        case (.ubyte(let value), 0x50): writeInteger(value)
        case (.ushort(let value), 0x60): writeInteger(value)
        case (.uint(let value), 0x52): writeInteger(UInt8(value))
        case (.uint(let value), 0x70): writeInteger(value)
        case (.ulong(let value), 0x53): writeInteger(UInt8(value))
        case (.ulong(let value), 0x80): writeInteger(value)
        case (.byte(let value), 0x51): writeInteger(value)
        case (.short(let value), 0x61): writeInteger(value)
        case (.int(let value), 0x54): writeInteger(Int8(value))
        case (.int(let value), 0x71): writeInteger(value)
        case (.long(let value), 0x55): writeInteger(Int8(value))
        case (.long(let value), 0x81): writeInteger(value)
        case (.float(let value), 0x72): writeInteger(value.bitPattern)
        case (.double(let value), 0x82): writeInteger(value.bitPattern)
        case (.decimal32(let bits), 0x74): writeInteger(bits)
        case (.decimal64(let bits), 0x84): writeInteger(bits)
        case (.decimal128(let bits), 0x94): writeMultipleIntegers(bits.high, bits.low)
        case (.char(let scalar), 0x73): writeInteger(scalar.value)
        case (.timestamp(let value), 0x83): writeInteger(value)
        case (.uuid(let value), 0x98): writeMultipleIntegers(value.high, value.low)
        case (.binary(let value), 0xA0), (.binary(let value), 0xB0):
            writeAMQPLength(value.readableBytes, wide: code == 0xB0)
            writeImmutableBuffer(value)
        case (.string(let value), 0xA1), (.string(let value), 0xB1), (.symbol(let value), 0xA3),
            (.symbol(let value), 0xB3):
            writeAMQPLength(value.utf8.count, wide: code >= 0xB0)
            writeString(value)
        case (.list(let elements), 0xD0):
            writeAMQPWideElement(count: elements.count) { for element in elements { $0.writeAMQP(element) } }
        case (.map(let map), 0xD1):
            writeAMQPWideElement(count: map.entries.count * 2) {
                for entry in map.entries {
                    $0.writeAMQP(entry.key)
                    $0.writeAMQP(entry.value)
                }
            }
        case (.array(let elements), 0xF0):
            writeAMQPWideElement(count: elements.count) { $0.writeAMQPArrayBody(elements) }
        default: preconditionFailure("an AMQP array has elements of different types")
        }
    }

    private mutating func writeAMQPLength(_ count: Int, wide: Bool) {
        if wide { writeInteger(UInt32(count)) } else { writeInteger(UInt8(count)) }
    }

    private mutating func writeAMQPWideElement(count: Int, _ content: (inout ByteBuffer) -> Void) {
        let start = writerIndex
        writeMultipleIntegers(0 as UInt32, UInt32(count))
        content(&self)
        setInteger(UInt32(writerIndex - start - 4), at: start)
    }
}
