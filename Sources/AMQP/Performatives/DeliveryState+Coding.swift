internal import NIOCore

extension DeliveryState {
    func encode(into buffer: inout ByteBuffer) {
        switch self {
        case .received(let number, let offset):
            buffer.writeAMQP(descriptor: 0x23)
            var fields = FieldWriter(&buffer)
            fields.uint(number, &buffer)
            fields.ulong(offset, &buffer)
            fields.endWithAllFields(&buffer)
        case .accepted:
            buffer.writeAMQP(descriptor: 0x24)
            buffer.writeInteger(0x45 as UInt8)
        case .rejected(let error):
            AMQPError.encodeOnly(error, descriptor: 0x25, into: &buffer)
        case .released:
            buffer.writeAMQP(descriptor: 0x26)
            buffer.writeInteger(0x45 as UInt8)
        case .modified(let deliveryFailed, let undeliverableHere, let annotations):
            buffer.writeAMQP(descriptor: 0x27)
            var fields = FieldWriter(&buffer)
            fields.boolean(deliveryFailed, absent: false, &buffer)
            fields.boolean(undeliverableHere, absent: false, &buffer)
            fields.map(annotations, &buffer)
            fields.endWithAllFields(&buffer)
        case .other(let descriptor, let value):
            buffer.writeAMQP(.described(descriptor: descriptor, value: value))
        }
    }

    static func read(
        from reader: inout AMQPReader, _ outer: inout AMQPReader.Fields
    ) throws(AMQPCodecError) -> DeliveryState? {
        guard reader.next(&outer) else { return nil }
        guard let descriptor = try reader.descriptor() else {
            try reader.skipNull("a delivery state")
            return nil
        }
        var state: DeliveryState
        var fields: AMQPReader.Fields
        switch descriptor.code {
        case 0x24?:
            fields = try reader.enter()
            state = .accepted
        case 0x23?:
            fields = try reader.enter()
            let number = try reader.require(try reader.uint(&fields), "received.section-number")
            let offset = try reader.require(try reader.ulong(&fields), "received.section-offset")
            state = .received(sectionNumber: number, sectionOffset: offset)
        case 0x25?:
            fields = try reader.enter()
            state = .rejected(try AMQPError.read(from: &reader, &fields))
        case 0x26?:
            fields = try reader.enter()
            state = .released
        case 0x27?:
            fields = try reader.enter()
            let failed = try reader.boolean(&fields) ?? false
            let undeliverable = try reader.boolean(&fields) ?? false
            state = .modified(
                deliveryFailed: failed, undeliverableHere: undeliverable,
                annotations: try reader.map(&fields) ?? AMQPMap())
        default: return .other(descriptor: descriptor.value, value: try reader.value())
        }
        try reader.leave(fields)
        return state
    }
}

extension AMQPError {
    func encode(into buffer: inout ByteBuffer) {
        buffer.writeAMQP(descriptor: 0x1D)
        var fields = FieldWriter(&buffer)
        fields.symbol(condition, &buffer)
        fields.string(text, &buffer)
        fields.map(info, &buffer)
        fields.endWithAllFields(&buffer)
    }

    /// `end`, `close` and `rejected` are lists whose only field is an error.
    static func encodeOnly(_ error: AMQPError?, descriptor: UInt8, into buffer: inout ByteBuffer) {
        buffer.writeAMQP(descriptor: descriptor)
        var fields = FieldWriter(&buffer)
        if let error {
            fields.next(&buffer)
            error.encode(into: &buffer)
        } else {
            fields.null()
        }
        fields.endWithAllFields(&buffer)
    }

    static func only(from reader: inout AMQPReader) throws(AMQPCodecError) -> AMQPError? {
        var fields = try reader.enter()
        let error = try read(from: &reader, &fields)
        try reader.leave(fields)
        return error
    }

    static func read(
        from reader: inout AMQPReader, _ outer: inout AMQPReader.Fields
    ) throws(AMQPCodecError) -> AMQPError? {
        guard reader.next(&outer) else { return nil }
        guard let descriptor = try reader.descriptor() else {
            try reader.skipNull("an error")
            return nil
        }
        guard descriptor.code == 0x1D else {
            throw reader.failure(.unexpectedType, "descriptor \(descriptor.description) where an error belongs")
        }
        var fields = try reader.enter()
        var error = AMQPError(try reader.require(try reader.text(&fields), "error.condition"))
        error.text = try reader.text(&fields)
        error.info = try reader.map(&fields) ?? AMQPMap()
        try reader.leave(fields)
        return error
    }
}
