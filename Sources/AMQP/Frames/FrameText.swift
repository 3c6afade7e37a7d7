internal import NIOCore

/// A performative in words: its name and the fields that are there, in the order of the specification.
struct FrameText {
    private(set) var line: String
    private var isFirst = true

    init(_ performative: Performative) {
        switch performative {
        case .open(let open):
            line = "open("
            add("container-id", open.containerID)
            add("hostname", open.hostname)
            add("max-frame-size", open.maxFrameSize)
            add("channel-max", open.channelMax)
            add("idle-time-out", open.idleTimeOut)
            add("offered-capabilities", open.offeredCapabilities)
            add("desired-capabilities", open.desiredCapabilities)
            add("properties", open.properties)
        case .begin(let begin):
            line = "begin("
            add("remote-channel", begin.remoteChannel)
            add("next-outgoing-id", begin.nextOutgoingID)
            add("incoming-window", begin.incomingWindow)
            add("outgoing-window", begin.outgoingWindow)
            add("handle-max", begin.handleMax)
            add("properties", begin.properties)
        case .attach(let attach):
            line = "attach("
            add("name", attach.name)
            add("handle", attach.handle)
            add("role", "\(attach.role)")
            add("snd-settle-mode", attach.senderSettleMode.rawValue)
            add("rcv-settle-mode", attach.receiverSettleMode.rawValue)
            add("source", attach.source?.address)
            add("filter", attach.source?.filter ?? AMQPMap())
            add("target", attach.target?.address)
            add("initial-delivery-count", attach.initialDeliveryCount)
            add("max-message-size", attach.maxMessageSize)
            add("offered-capabilities", attach.offeredCapabilities)
            add("desired-capabilities", attach.desiredCapabilities)
            add("properties", attach.properties)
        case .flow(let flow):
            line = "flow("
            add("next-incoming-id", flow.nextIncomingID)
            add("incoming-window", flow.incomingWindow)
            add("next-outgoing-id", flow.nextOutgoingID)
            add("outgoing-window", flow.outgoingWindow)
            add("handle", flow.handle)
            add("delivery-count", flow.deliveryCount)
            add("link-credit", flow.linkCredit)
            add("available", flow.available)
            add("drain", flow.drain ? true : nil)
            add("echo", flow.echo ? true : nil)
        case .transfer(let transfer):
            line = "transfer("
            add("handle", transfer.handle)
            add("delivery-id", transfer.deliveryID)
            add("delivery-tag", transfer.deliveryTag.map { AMQPValue.binary($0) })
            add("message-format", transfer.messageFormat)
            add("settled", transfer.settled)
            add("more", transfer.more ? true : nil)
            add("state", transfer.state)
            add("aborted", transfer.aborted ? true : nil)
        case .disposition(let disposition):
            line = "disposition("
            add("role", "\(disposition.role)")
            add("first", disposition.first)
            add("last", disposition.last)
            add("settled", disposition.settled)
            add("state", disposition.state)
        case .detach(let detach):
            line = "detach("
            add("handle", detach.handle)
            add("closed", detach.closed)
            add("error", detach.error)
        case .end(let end):
            line = "end("
            add("error", end.error)
        case .close(let close):
            line = "close("
            add("error", close.error)
        }
        line += ")"
    }

    // MARK: Fields

    private mutating func put(_ name: String, _ text: String) {
        if !isFirst { line += ", " }
        isFirst = false
        line += "\(name)=\(text)"
    }

    private mutating func add(_ name: String, _ number: (some FixedWidthInteger)?) {
        if let number { put(name, "\(number)") }
    }

    private mutating func add(_ name: String, _ flag: Bool?) {
        if let flag { put(name, "\(flag)") }
    }

    private mutating func add(_ name: String, _ text: String?) {
        if let text { put(name, Self.hidden(text)) }
    }

    private mutating func add(_ name: String, _ words: [String]) {
        if !words.isEmpty { put(name, "[" + words.map(Self.hidden).joined(separator: " ") + "]") }
    }

    private mutating func add(_ name: String, _ value: AMQPValue?) {
        if let value, value != .null { put(name, Self.text(value)) }
    }

    private mutating func add(_ name: String, _ map: AMQPMap) {
        if !map.entries.isEmpty { put(name, Self.text(.map(map))) }
    }

    private mutating func add(_ name: String, _ error: AMQPError?) {
        if let error { put(name, Self.text(error)) }
    }

    private mutating func add(_ name: String, _ state: DeliveryState?) {
        switch state {
        case nil: break
        case .accepted?: put(name, "accepted")
        case .released?: put(name, "released")
        case .rejected(let error)?: put(name, "rejected" + (error.map { " \(Self.text($0))" } ?? ""))
        case .modified(let failed, let undeliverable, _)?:
            put(name, "modified delivery-failed=\(failed) undeliverable-here=\(undeliverable)")
        case .received(let number, let offset)?: put(name, "received \(number):\(offset)")
        case .other(let descriptor, _)?: put(name, "state \(Self.text(descriptor))")
        }
    }

    // MARK: Values

    private static func text(_ error: AMQPError) -> String {
        let info = error.info.entries.isEmpty ? "" : " \(text(.map(error.info)))"
        return "\"\(hidden(error.description))\"\(info)"
    }

    /// Bytes of a binary value that are shown: delivery tags are numbers.
    private static let shownBytes = 16

    private static func text(_ value: AMQPValue) -> String {
        switch value {
        case .null: "null"
        case .boolean(let value): "\(value)"
        case .ubyte(let value): "\(value)"
        case .ushort(let value): "\(value)"
        case .uint(let value): "\(value)"
        case .ulong(let value): "\(value)"
        case .byte(let value): "\(value)"
        case .short(let value): "\(value)"
        case .int(let value): "\(value)"
        case .long(let value), .timestamp(let value): "\(value)"
        case .float(let value): "\(value)"
        case .double(let value): "\(value)"
        case .decimal32(let value): "decimal \(value)"
        case .decimal64(let value): "decimal \(value)"
        case .decimal128(let value): "decimal \(value)"
        case .char(let value): "\(value.escaped(asASCII: false))"
        case .uuid(let value): "\(value)"
        case .binary(let bytes) where bytes.readableBytes <= shownBytes:
            "0x" + bytes.readableBytesView.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        case .binary(let bytes): "\(bytes.readableBytes) bytes"
        case .string(let text), .symbol(let text): hidden(text)
        case .list(let values), .array(let values): "[" + values.map(text).joined(separator: ", ") + "]"
        case .map(let map): "{" + map.entries.map { "\(text($0.key)): \(text($0.value))" }.joined(separator: ", ") + "}"
        case .described(_, let value): text(value)
        }
    }

    // MARK: Secrets

    /// Characters of one text.
    private static let longestText = 1000

    /// `text` on one line, with every word that carries a signature, a key or a token replaced by an ellipsis.
    static func hidden(_ text: String) -> String {
        var result = ""
        var isFirst = true
        for word in text.prefix(longestText).split(omittingEmptySubsequences: false, whereSeparator: \.isWhitespace) {
            if !isFirst { result += " " }
            isFirst = false
            result += isSecret(word) ? "…" : String(word.unicodeScalars.map { $0.value < 0x20 ? "·" : Character($0) })
        }
        return text.count > longestText ? result + "…" : result
    }

    /// A shared access signature, a key of a connection string, a JSON web token.
    private static func isSecret(_ word: Substring) -> Bool {
        let lower = word.lowercased()
        return lower.contains("sig=") || lower.contains("sharedaccess") || lower.contains("eyj")
    }
}
