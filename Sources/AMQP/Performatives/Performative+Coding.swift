package import NIOCore

extension Performative {
    /// Writes descriptor and list.
    package func encode(into buffer: inout ByteBuffer) {
        switch self {
        case .open(let open): open.encode(into: &buffer)
        case .begin(let begin): begin.encode(into: &buffer)
        case .attach(let attach): attach.encode(into: &buffer)
        case .flow(let flow): flow.encode(into: &buffer)
        case .transfer(let transfer): transfer.encode(into: &buffer)
        case .disposition(let disposition): disposition.encode(into: &buffer)
        case .detach(let detach): detach.encode(into: &buffer)
        case .end(let end): AMQPError.encodeOnly(end.error, descriptor: 0x17, into: &buffer)
        case .close(let close): AMQPError.encodeOnly(close.error, descriptor: 0x18, into: &buffer)
        }
    }

    /// Reads one performative; what follows it in the frame is left to `reader.rest`.
    package init(from reader: inout AMQPReader) throws(AMQPCodecError) {
        guard let descriptor = try reader.descriptor() else {
            throw reader.failure(.unexpectedType, "a value without descriptor where a performative belongs")
        }
        switch descriptor.code {
        case 0x14?: self = .transfer(try Transfer(from: &reader))
        case 0x13?: self = .flow(try Flow(from: &reader))
        case 0x15?: self = .disposition(try Disposition(from: &reader))
        case 0x10?: self = .open(try Open(from: &reader))
        case 0x11?: self = .begin(try Begin(from: &reader))
        case 0x12?: self = .attach(try Attach(from: &reader))
        case 0x16?: self = .detach(try Detach(from: &reader))
        case 0x17?: self = .end(End(error: try AMQPError.only(from: &reader)))
        case 0x18?: self = .close(Close(error: try AMQPError.only(from: &reader)))
        default:
            throw reader.failure(.unexpectedType, "descriptor \(descriptor.description) is no performative")
        }
    }

    /// Reads one performative from the start of `buffer`, which then holds what follows it.
    package init(from buffer: inout ByteBuffer) throws(AMQPCodecError) {
        var reader = AMQPReader(buffer)
        try self.init(from: &reader)
        buffer.moveReaderIndex(to: reader.position)
    }
}

extension LinkRole {
    /// On the wire a role is a boolean: true for receiver.
    init(isReceiver: Bool) { self = isReceiver ? .receiver : .sender }
    var isReceiver: Bool { self == .receiver }
}

extension Open {
    func encode(into buffer: inout ByteBuffer) {
        buffer.writeAMQP(descriptor: 0x10)
        var fields = FieldWriter(&buffer)
        fields.string(containerID, &buffer)
        fields.string(hostname, &buffer)
        fields.uint(maxFrameSize == .max ? nil : maxFrameSize, &buffer)
        fields.ushort(channelMax == .max ? nil : channelMax, &buffer)
        fields.uint(idleTimeOut, &buffer)
        fields.symbols(outgoingLocales, &buffer)
        fields.symbols(incomingLocales, &buffer)
        fields.symbols(offeredCapabilities, &buffer)
        fields.symbols(desiredCapabilities, &buffer)
        fields.map(properties, &buffer)
        fields.endWithAllFields(&buffer)
    }

    init(from reader: inout AMQPReader) throws(AMQPCodecError) {
        var fields = try reader.enter()
        self.init(containerID: try reader.require(try reader.text(&fields), "open.container-id"))
        hostname = try reader.text(&fields)
        maxFrameSize = try reader.uint(&fields) ?? .max
        channelMax = try reader.ushort(&fields) ?? .max
        idleTimeOut = try reader.uint(&fields)
        outgoingLocales = try reader.symbols(&fields)
        incomingLocales = try reader.symbols(&fields)
        offeredCapabilities = try reader.symbols(&fields)
        desiredCapabilities = try reader.symbols(&fields)
        properties = try reader.map(&fields) ?? AMQPMap()
        try reader.leave(fields)
    }
}

extension Begin {
    func encode(into buffer: inout ByteBuffer) {
        buffer.writeAMQP(descriptor: 0x11)
        var fields = FieldWriter(&buffer)
        fields.ushort(remoteChannel, &buffer)
        fields.uint(nextOutgoingID, &buffer)
        fields.uint(incomingWindow, &buffer)
        fields.uint(outgoingWindow, &buffer)
        fields.uint(handleMax == .max ? nil : handleMax, &buffer)
        fields.symbols(offeredCapabilities, &buffer)
        fields.symbols(desiredCapabilities, &buffer)
        fields.map(properties, &buffer)
        fields.endWithAllFields(&buffer)
    }

    init(from reader: inout AMQPReader) throws(AMQPCodecError) {
        var fields = try reader.enter()
        let remoteChannel = try reader.ushort(&fields)
        let nextOutgoingID = try reader.require(try reader.uint(&fields), "begin.next-outgoing-id")
        let incomingWindow = try reader.require(try reader.uint(&fields), "begin.incoming-window")
        let outgoingWindow = try reader.require(try reader.uint(&fields), "begin.outgoing-window")
        self.init(nextOutgoingID: nextOutgoingID, incomingWindow: incomingWindow, outgoingWindow: outgoingWindow)
        self.remoteChannel = remoteChannel
        handleMax = try reader.uint(&fields) ?? .max
        offeredCapabilities = try reader.symbols(&fields)
        desiredCapabilities = try reader.symbols(&fields)
        properties = try reader.map(&fields) ?? AMQPMap()
        try reader.leave(fields)
    }
}

extension Flow {
    func encode(into buffer: inout ByteBuffer) {
        buffer.writeAMQP(descriptor: 0x13)
        var fields = FieldWriter(&buffer)
        fields.uint(nextIncomingID, &buffer)
        fields.uint(incomingWindow, &buffer)
        fields.uint(nextOutgoingID, &buffer)
        fields.uint(outgoingWindow, &buffer)
        fields.uint(handle, &buffer)
        fields.uint(deliveryCount, &buffer)
        fields.uint(linkCredit, &buffer)
        fields.uint(available, &buffer)
        fields.boolean(drain, absent: false, &buffer)
        fields.boolean(echo, absent: false, &buffer)
        fields.map(properties, &buffer)
        fields.endWithAllFields(&buffer)
    }

    init(from reader: inout AMQPReader) throws(AMQPCodecError) {
        var fields = try reader.enter()
        let nextIncomingID = try reader.uint(&fields)
        let incomingWindow = try reader.require(try reader.uint(&fields), "flow.incoming-window")
        let nextOutgoingID = try reader.require(try reader.uint(&fields), "flow.next-outgoing-id")
        let outgoingWindow = try reader.require(try reader.uint(&fields), "flow.outgoing-window")
        self.init(
            nextIncomingID: nextIncomingID, incomingWindow: incomingWindow, nextOutgoingID: nextOutgoingID,
            outgoingWindow: outgoingWindow)
        handle = try reader.uint(&fields)
        deliveryCount = try reader.uint(&fields)
        linkCredit = try reader.uint(&fields)
        available = try reader.uint(&fields)
        drain = try reader.boolean(&fields) ?? false
        echo = try reader.boolean(&fields) ?? false
        properties = try reader.map(&fields) ?? AMQPMap()
        try reader.leave(fields)
    }
}

extension Transfer {
    func encode(into buffer: inout ByteBuffer) {
        buffer.writeAMQP(descriptor: 0x14)
        var fields = FieldWriter(&buffer)
        fields.uint(handle, &buffer)
        fields.uint(deliveryID, &buffer)
        fields.binary(deliveryTag, &buffer)
        fields.uint(messageFormat, &buffer)
        fields.boolean(settled, &buffer)
        fields.boolean(more, absent: false, &buffer)
        fields.ubyte(receiverSettleMode?.rawValue, &buffer)
        if let state {
            fields.next(&buffer)
            state.encode(into: &buffer)
        } else {
            fields.null()
        }
        fields.boolean(resume, absent: false, &buffer)
        fields.boolean(aborted, absent: false, &buffer)
        fields.boolean(batchable, absent: false, &buffer)
        fields.endWithAllFields(&buffer)
    }

    init(from reader: inout AMQPReader) throws(AMQPCodecError) {
        var fields = try reader.enter()
        self.init(handle: try reader.require(try reader.uint(&fields), "transfer.handle"))
        deliveryID = try reader.uint(&fields)
        deliveryTag = try reader.binary(&fields)
        messageFormat = try reader.uint(&fields)
        settled = try reader.boolean(&fields)
        more = try reader.boolean(&fields) ?? false
        receiverSettleMode = try ReceiverSettleMode.read(from: &reader, &fields)
        state = try DeliveryState.read(from: &reader, &fields)
        resume = try reader.boolean(&fields) ?? false
        aborted = try reader.boolean(&fields) ?? false
        batchable = try reader.boolean(&fields) ?? false
        try reader.leave(fields)
    }
}

extension Disposition {
    func encode(into buffer: inout ByteBuffer) {
        buffer.writeAMQP(descriptor: 0x15)
        var fields = FieldWriter(&buffer)
        fields.boolean(role.isReceiver, &buffer)
        fields.uint(first, &buffer)
        fields.uint(last, &buffer)
        fields.boolean(settled, absent: false, &buffer)
        if let state {
            fields.next(&buffer)
            state.encode(into: &buffer)
        } else {
            fields.null()
        }
        fields.boolean(batchable, absent: false, &buffer)
        fields.endWithAllFields(&buffer)
    }

    init(from reader: inout AMQPReader) throws(AMQPCodecError) {
        var fields = try reader.enter()
        let isReceiver = try reader.require(try reader.boolean(&fields), "disposition.role")
        let first = try reader.require(try reader.uint(&fields), "disposition.first")
        self.init(role: LinkRole(isReceiver: isReceiver), first: first, last: try reader.uint(&fields))
        settled = try reader.boolean(&fields) ?? false
        state = try DeliveryState.read(from: &reader, &fields)
        batchable = try reader.boolean(&fields) ?? false
        try reader.leave(fields)
    }
}

extension Detach {
    func encode(into buffer: inout ByteBuffer) {
        buffer.writeAMQP(descriptor: 0x16)
        var fields = FieldWriter(&buffer)
        fields.uint(handle, &buffer)
        fields.boolean(closed, absent: false, &buffer)
        if let error {
            fields.next(&buffer)
            error.encode(into: &buffer)
        } else {
            fields.null()
        }
        fields.endWithAllFields(&buffer)
    }

    init(from reader: inout AMQPReader) throws(AMQPCodecError) {
        var fields = try reader.enter()
        self.init(handle: try reader.require(try reader.uint(&fields), "detach.handle"))
        closed = try reader.boolean(&fields) ?? false
        error = try AMQPError.read(from: &reader, &fields)
        try reader.leave(fields)
    }
}

extension SenderSettleMode {
    static func read(
        from reader: inout AMQPReader, _ fields: inout AMQPReader.Fields
    ) throws(AMQPCodecError) -> SenderSettleMode? {
        guard let raw = try reader.ubyte(&fields) else { return nil }
        guard let mode = SenderSettleMode(rawValue: raw) else {
            throw reader.failure(.invalidValue, "sender settle mode \(raw); it is 0, 1 or 2")
        }
        return mode
    }
}

extension ReceiverSettleMode {
    static func read(
        from reader: inout AMQPReader, _ fields: inout AMQPReader.Fields
    ) throws(AMQPCodecError) -> ReceiverSettleMode? {
        guard let raw = try reader.ubyte(&fields) else { return nil }
        guard let mode = ReceiverSettleMode(rawValue: raw) else {
            throw reader.failure(.invalidValue, "receiver settle mode \(raw); it is 0 or 1")
        }
        return mode
    }
}
