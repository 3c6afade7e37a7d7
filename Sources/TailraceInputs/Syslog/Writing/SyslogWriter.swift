import Glibc
internal import TailraceSpool

/// Takes chunks of messages, and makes batches of them: parsed, sorted by where they come from, in the order in which
/// each came, with a section for each origin. On one thread.
final class SyslogWriter {
    /// Of the parts of a message that become properties; a longer one is cut, for the message has it whole.
    static let maximumName = 255
    /// Structured data longer than this become no property.
    static let maximumStructuredData = 16 << 10
    /// Bytes of a record's attributes at most: those parts, and the keys and numbers.
    static let attributeRoom = 4 * maximumName + maximumStructuredData + 512

    private struct Item {
        var offset: Int
        var message: SyslogMessage
        /// The next one of the same origin; −1 at the end.
        var next: Int
    }

    /// The messages of one origin in a chunk.
    private struct Chain {
        var origin: Int
        var first: Int
        var last: Int
    }

    private let parser: SyslogParser
    private let maximumMessage: Int
    private let places: [String]
    private let queue: IntakeQueue
    private let counters: IntakeCounters
    private let sink: any BatchSink
    private let mark: StageMark
    private let isGivenUp: () -> Bool
    private var origins: OriginTable
    private var items: [Item] = []
    private var chains: [Chain] = []
    /// Per origin: its chain in this chunk; −1 for none.
    private var chainOf: [Int] = []
    private var batch: RecordBatch?
    /// Records in it that only tell of losses: no message is lost with them.
    private var notices = 0
    /// Bytes written so far: a record's offset tells its place among all of the input's.
    private var written: UInt64 = 0

    /// - Parameter isGivenUp: whether the spool is not to be waited for any longer.
    init(
        _ configuration: SyslogConfiguration, host: String, places: [String], queue: IntakeQueue,
        counters: IntakeCounters, sink: any BatchSink, mark: StageMark, isGivenUp: @escaping () -> Bool
    ) {
        parser = SyslogParser(zone: configuration.zone)
        maximumMessage = configuration.maximumMessage
        self.places = places
        self.queue = queue
        self.counters = counters
        self.sink = sink
        self.mark = mark
        self.isGivenUp = isGivenUp
        origins = OriginTable(
            input: configuration.name, agentHost: host, trust: configuration.trust, places: places)
    }

    /// Until the queue is closed and empty.
    func run() {
        while let (chunk, lane) = queue.next() {
            mark.work()
            write(chunk)
            queue.recycle(chunk, lane)
            mark.rest()
        }
    }

    private func write(_ chunk: IntakeChunk) {
        sort(chunk)
        for chain in chains {
            chainOf[chain.origin] = -1
            var index = chain.first
            while index >= 0 {
                let message = chunk.message(at: items[index].offset)
                let isWritten =
                    message.head.kind == .message
                    ? add(message.head, message.bytes, items[index].message, chain.origin)
                    : addLoss(message.head, chain.origin)
                if !isWritten, message.head.kind == .message {
                    counters.stopLosses.wrappingAdd(1, ordering: .relaxed)
                }
                index = items[index].next
            }
            closeSection(chain.origin)
        }
        passOn()
        origins.prune()
        if origins.count == 0 { chainOf.removeAll(keepingCapacity: true) }
    }

    /// Parses every message, and chains those of one origin.
    private func sort(_ chunk: IntakeChunk) {
        items.removeAll(keepingCapacity: true)
        chains.removeAll(keepingCapacity: true)
        var offset = 0
        for index in 0..<chunk.count {
            let (head, bytes, next) = chunk.message(at: offset)
            var origin = origins.origin(head.peer, listener: head.listener)
            var message = SyslogMessage()
            if head.kind == .message {
                message = parser.parse(bytes, received: head.time)
                if origins.isTrusted(origin), !message.hostname.isEmpty,
                    message.hostname.length <= HostName.maximumLength,
                    HostName.isLegal(bytes, message.hostname.range)
                {
                    origin = origins.origin(head.peer, relay: origin, host: message.hostname.bytes(of: bytes))
                    counters.trusted.wrappingAdd(1, ordering: .relaxed)
                }
            }
            items.append(Item(offset: offset, message: message, next: -1))
            while chainOf.count < origins.count { chainOf.append(-1) }
            let chain = chainOf[origin]
            if chain >= 0 {
                items[chains[chain].last].next = index
                chains[chain].last = index
            } else {
                chainOf[origin] = chains.count
                chains.append(Chain(origin: origin, first: index, last: index))
            }
            offset = next
        }
    }

    // MARK: Records

    /// False when the spool is closed.
    private func add(
        _ head: IntakeChunk.Head, _ bytes: UnsafeRawBufferPointer, _ message: SyslogMessage, _ origin: Int
    ) -> Bool {
        let isTruncated = head.originalLength > head.length
        var flags: RecordFlags = []
        if isTruncated { flags.insert(.truncated) }
        if head.isUnterminated { flags.insert(.unterminated) }
        return add(bytes, flags, time: head.time, origin) { writer in
            writer.add("severity", Int64(message.severity))
            writer.add("facility", Int64(message.facility))
            if let time = message.time { writer.add("event_time", time) }
            writer.add("hostname", message.hostname.bytes(of: bytes, atMost: Self.maximumName))
            writer.add("app", message.app.bytes(of: bytes, atMost: Self.maximumName))
            if let number = message.pid.number(in: bytes) {
                writer.add("pid", number)
            } else {
                writer.add("pid", message.pid.bytes(of: bytes, atMost: Self.maximumName))
            }
            writer.add("msgid", message.messageID.bytes(of: bytes, atMost: Self.maximumName))
            if message.structuredData.length <= Self.maximumStructuredData {
                writer.add("sd", message.structuredData.bytes(of: bytes))
            }
            if isTruncated { writer.add(RecordAttributes.truncatedKey, Int64(head.originalLength)) }
            if let problem = message.problem { writer.add("parse_error", problem.text) }
        }
    }

    /// A record that tells of messages that there are no records of.
    private func addLoss(_ head: IntakeChunk.Head, _ origin: Int) -> Bool {
        let place = places[Int(head.listener)]
        let what =
            head.kind == .kernelLoss
            ? "in the kernel, whose receive buffer of \(place) was full; raise receive_buffer, and net.core.rmem_max"
            : "at \(place), because the spool took nothing and the input's buffer was full"
        let text = Array("<44>tailrace: \(head.lost) datagrams were lost \(what)".utf8)
        return text.withUnsafeBytes { text in
            let isWritten = add(text, [], time: head.time, origin) { writer in
                writer.add("severity", 4)
                writer.add("facility", 5)
                writer.add("app", "tailrace")
                writer.add("lost_datagrams", Int64(clamping: head.lost))
            }
            if isWritten { notices += 1 }
            return isWritten
        }
    }

    private func add(
        _ bytes: UnsafeRawBufferPointer, _ flags: RecordFlags, time: Int64, _ origin: Int,
        attributes: (inout AttributeWriter) -> Void
    ) -> Bool {
        guard let batch = room(for: bytes.count + Self.attributeRoom, origin), let start = batch.copyIn(bytes) else {
            return false
        }
        if batch.recordCount == 0 { batch.time = time }
        let origin = batch.sectionStart
        let number = batch.recordCount - batch.sectionRecord
        batch.append(
            RecordEntry(start: start - UInt32(origin), length: UInt32(bytes.count), flags: flags))
        let from = batch.block + batch.length
        var writer = AttributeWriter(from)
        attributes(&writer)
        batch.attributes.append(
            AttributeEntry(
                record: UInt32(number), start: UInt32(batch.length - origin), length: UInt32(writer.at - from)))
        batch.length += writer.at - from
        return true
    }

    /// A batch with so much room; nil when the spool is closed.
    private func room(for bytes: Int, _ origin: Int) -> RecordBatch? {
        if let batch {
            if batch.capacity - batch.length >= bytes { return batch }
            closeSection(origin)
            passOn()
        }
        while true {
            if let taken = sink.take(timeoutMilliseconds: 100) {
                precondition(taken.capacity >= bytes, "a batch too small for the longest message")
                batch = taken
                return taken
            }
            if isGivenUp() { return nil }
            // A closed sink answers at once.
            usleep(5000)
        }
    }

    private func closeSection(_ origin: Int) {
        guard let batch, batch.recordCount > batch.sectionRecord else { return }
        let bytes = batch.length - batch.sectionStart
        batch.closeSection(context: origins.context(origin), baseOffset: written)
        written += UInt64(bytes)
    }

    private func passOn() {
        guard let full = batch else { return }
        batch = nil
        let (messages, told) = (full.recordCount - notices, notices)
        notices = 0
        if full.recordCount == 0 { return full.recycle() }
        if sink.append(full) {
            counters.notices.wrappingAdd(UInt64(told), ordering: .relaxed)
        } else {
            counters.stopLosses.wrappingAdd(UInt64(messages), ordering: .relaxed)
        }
    }
}

extension SyslogMessage.Part {
    var range: Range<Int> { Int(start)..<Int(start + length) }

    func bytes(of message: UnsafeRawBufferPointer, atMost limit: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: message[Int(start)..<Int(start) + min(limit, Int(length))])
    }

    /// The number that these bytes are, if they are nothing but digits.
    func number(in message: UnsafeRawBufferPointer) -> Int64? {
        DecimalDigits.number(bytes(of: message)).flatMap { Int64(exactly: $0) }
    }
}
