internal import NIOCore

extension Attach {
    func encode(into buffer: inout ByteBuffer) {
        buffer.writeAMQP(descriptor: 0x12)
        var fields = FieldWriter(&buffer)
        fields.string(name, &buffer)
        fields.uint(handle, &buffer)
        fields.boolean(role.isReceiver, &buffer)
        fields.ubyte(senderSettleMode == .mixed ? nil : senderSettleMode.rawValue, &buffer)
        fields.ubyte(receiverSettleMode == .first ? nil : receiverSettleMode.rawValue, &buffer)
        if let source {
            fields.next(&buffer)
            source.encode(into: &buffer)
        } else {
            fields.null()
        }
        if let target {
            fields.next(&buffer)
            target.encode(into: &buffer)
        } else {
            fields.null()
        }
        fields.map(unsettled, &buffer)
        fields.boolean(incompleteUnsettled, absent: false, &buffer)
        fields.uint(initialDeliveryCount, &buffer)
        fields.ulong(maxMessageSize, &buffer)
        fields.symbols(offeredCapabilities, &buffer)
        fields.symbols(desiredCapabilities, &buffer)
        fields.map(properties, &buffer)
        fields.endWithAllFields(&buffer)
    }

    init(from reader: inout AMQPReader) throws(AMQPCodecError) {
        var fields = try reader.enter()
        let name = try reader.require(try reader.text(&fields), "attach.name")
        let handle = try reader.require(try reader.uint(&fields), "attach.handle")
        let isReceiver = try reader.require(try reader.boolean(&fields), "attach.role")
        self.init(name: name, handle: handle, role: LinkRole(isReceiver: isReceiver))
        senderSettleMode = try SenderSettleMode.read(from: &reader, &fields) ?? .mixed
        receiverSettleMode = try ReceiverSettleMode.read(from: &reader, &fields) ?? .first
        source = try Source.read(from: &reader, &fields)
        target = try Target.read(from: &reader, &fields)
        unsettled = try reader.map(&fields) ?? AMQPMap()
        incompleteUnsettled = try reader.boolean(&fields) ?? false
        initialDeliveryCount = try reader.uint(&fields)
        maxMessageSize = try reader.ulong(&fields)
        offeredCapabilities = try reader.symbols(&fields)
        desiredCapabilities = try reader.symbols(&fields)
        properties = try reader.map(&fields) ?? AMQPMap()
        try reader.leave(fields)
    }
}

extension Source {
    func encode(into buffer: inout ByteBuffer) {
        buffer.writeAMQP(descriptor: 0x28)
        var fields = FieldWriter(&buffer)
        fields.value(address, &buffer)
        fields.uint(durable == 0 ? nil : durable, &buffer)
        fields.symbol(expiryPolicy == "session-end" ? nil : expiryPolicy, &buffer)
        fields.uint(timeout == 0 ? nil : timeout, &buffer)
        fields.boolean(dynamic, absent: false, &buffer)
        fields.map(dynamicNodeProperties, &buffer)
        fields.symbol(distributionMode, &buffer)
        fields.map(filter, &buffer)
        if let defaultOutcome {
            fields.next(&buffer)
            defaultOutcome.encode(into: &buffer)
        } else {
            fields.null()
        }
        fields.symbols(outcomes, &buffer)
        fields.symbols(capabilities, &buffer)
        fields.endWithAllFields(&buffer)
    }

    static func read(
        from reader: inout AMQPReader, _ outer: inout AMQPReader.Fields
    ) throws(AMQPCodecError) -> Source? {
        guard reader.next(&outer) else { return nil }
        guard let descriptor = try reader.descriptor() else {
            try reader.skipNull("a source")
            return nil
        }
        guard descriptor.code == 0x28 else {
            throw reader.failure(.unexpectedType, "descriptor \(descriptor.description) where a source belongs")
        }
        var fields = try reader.enter()
        var source = Source()
        source.address = try reader.value(&fields)
        source.durable = try reader.uint(&fields) ?? 0
        source.expiryPolicy = try reader.text(&fields) ?? "session-end"
        source.timeout = try reader.uint(&fields) ?? 0
        source.dynamic = try reader.boolean(&fields) ?? false
        source.dynamicNodeProperties = try reader.map(&fields) ?? AMQPMap()
        source.distributionMode = try reader.text(&fields)
        source.filter = try reader.map(&fields) ?? AMQPMap()
        source.defaultOutcome = try DeliveryState.read(from: &reader, &fields)
        source.outcomes = try reader.symbols(&fields)
        source.capabilities = try reader.symbols(&fields)
        try reader.leave(fields)
        return source
    }
}

extension Target {
    func encode(into buffer: inout ByteBuffer) {
        buffer.writeAMQP(descriptor: 0x29)
        var fields = FieldWriter(&buffer)
        fields.value(address, &buffer)
        fields.uint(durable == 0 ? nil : durable, &buffer)
        fields.symbol(expiryPolicy == "session-end" ? nil : expiryPolicy, &buffer)
        fields.uint(timeout == 0 ? nil : timeout, &buffer)
        fields.boolean(dynamic, absent: false, &buffer)
        fields.map(dynamicNodeProperties, &buffer)
        fields.symbols(capabilities, &buffer)
        fields.endWithAllFields(&buffer)
    }

    static func read(
        from reader: inout AMQPReader, _ outer: inout AMQPReader.Fields
    ) throws(AMQPCodecError) -> Target? {
        guard reader.next(&outer) else { return nil }
        guard let descriptor = try reader.descriptor() else {
            try reader.skipNull("a target")
            return nil
        }
        var target = Target()
        var fields: AMQPReader.Fields
        switch descriptor.code {
        case 0x29?:
            fields = try reader.enter()
            target.address = try reader.value(&fields)
            target.durable = try reader.uint(&fields) ?? 0
            target.expiryPolicy = try reader.text(&fields) ?? "session-end"
            target.timeout = try reader.uint(&fields) ?? 0
            target.dynamic = try reader.boolean(&fields) ?? false
            target.dynamicNodeProperties = try reader.map(&fields) ?? AMQPMap()
            target.capabilities = try reader.symbols(&fields)
        case 0x30?:
            fields = try reader.enter()
            target.capabilities = try reader.symbols(&fields)
        default:
            throw reader.failure(.unexpectedType, "descriptor \(descriptor.description) where a target belongs")
        }
        try reader.leave(fields)
        return target
    }
}

extension AMQPReader {
    /// After `descriptor()` returned nil: the only plain value that may stand in for a composite is null.
    mutating func skipNull(_ wanted: String) throws(AMQPCodecError) {
        let code = try byte()
        guard code == 0x40 else { throw unexpected(code, wanted) }
    }
}
