internal import OpenSSLTransport
package import TailraceDelivery
package import TailraceSpool

/// The records of a spool that nobody needs to open, for `tailrace spool dump` and `export`.
package struct StoredRecords {
    package enum Form: Sendable {
        /// For people: a title with the properties, then the body.
        case text
        /// For programs: an object per line; `body`, or `body_base64` where the body is not UTF-8.
        case json
        /// Bodies alone, each with a newline.
        case bodies
    }

    package struct Selection: Equatable, Sendable {
        /// The first id that is wanted, and the one after the last; nil: from the first, up to the last.
        package var first: UInt64?
        package var end: UInt64?
        /// At most so many records.
        package var maximumCount = UInt64.max
        /// Of this source or input alone.
        package var source: String?
        package var input: String?
        /// From the lowest id that an output still wants.
        package var isUnacknowledged = false
        /// Records that are not wanted: dead letters that were replayed or dropped.
        package var without = SettledLetters()

        package init() {}
    }

    /// Bytes that are gathered before they are written.
    private static let chunk = 64 << 10

    private let spool: StoredSpool
    private let selection: Selection
    private let form: Form

    package init(_ spool: StoredSpool, _ selection: Selection, _ form: Form) {
        self.spool = spool
        self.selection = selection
        self.form = form
    }

    /// Writes the records by their ids and returns how many.
    ///
    /// - Parameter write: gets whole records; returns false when nobody reads them any more.
    package func run(_ write: ([UInt8]) -> Bool) throws(SpoolError) -> UInt64 {
        var first = selection.first ?? spool.firstSequence
        if selection.isUnacknowledged { first = max(first, spool.floor) }
        let end = selection.end ?? .max
        var frames = spool.frames(from: first)
        var output: [UInt8] = []
        var count: UInt64 = 0
        while count < selection.maximumCount, let frame = try frames.next(), frame.firstSequence < end {
            let context = RecordContext(decoding: frame.context) ?? RecordContext(host: "", source: "", input: "")
            guard selection.source.map({ $0 == context.source }) ?? true,
                selection.input.map({ $0 == context.input }) ?? true
            else { continue }
            let run = RecordRun(frame, frame.startIndex..<frame.recordCount)
            for index in run.indices where count < selection.maximumCount {
                let record = run[index]
                guard record.sequence < end else { break }
                guard !selection.without.contains(record.sequence) else { continue }
                append(record, context, to: &output)
                count += 1
                if output.count >= Self.chunk {
                    guard write(output) else { return count }
                    output.removeAll(keepingCapacity: true)
                }
            }
        }
        if !output.isEmpty { _ = write(output) }
        return count
    }

    private func append(_ record: DeliveryRecord, _ context: RecordContext, to output: inout [UInt8]) {
        switch form {
        case .text:
            var title = "record \(record.sequence)  \(Timestamp.text(milliseconds: record.time))  "
            title += context.properties.map { "\($0.0)=\"\($0.1)\"" }.joined(separator: " ")
            title += " offset=\(record.offset)"
            if let only = context.onlyOutput { title += " only_output=\"\(only)\"" }
            let more = RecordText.properties(record.attributes)
            if !more.isEmpty { title += " " + more }
            output.append(contentsOf: (title + "\n").utf8)
            for line in RecordText.lines(of: record.body) { output.append(contentsOf: (line + "\n").utf8) }
        case .json:
            output.append(contentsOf: Self.json(record, context))
            output.append(UInt8(ascii: "\n"))
        case .bodies:
            output.append(contentsOf: record.body)
            output.append(UInt8(ascii: "\n"))
        }
    }

    /// The names are part of the command's contract.
    private static func json(_ record: DeliveryRecord, _ context: RecordContext) -> [UInt8] {
        var json = JSONText()
        json.object { json in
            json.field("id", record.sequence)
            json.field("time", Timestamp.text(milliseconds: record.time))
            json.field("host", context.host)
            json.field("source", context.source)
            json.field("input", context.input)
            json.field("offset", record.offset)
            json.field("truncated", record.flags.contains(.truncated))
            if let only = context.onlyOutput { json.field("only_output", only) }
            json.field("properties") { json in
                for field in context.fields { json.field(field.key, field.value) }
                RecordAttributes.forEach(in: record.attributes) { key, value in
                    let key = String(decoding: key, as: UTF8.self)
                    switch value {
                    case .integer(let number): json.field(key, number)
                    case .string(let text): json.field(key, String(decoding: text, as: UTF8.self))
                    }
                }
            }
            if let text = String(validating: record.body, as: UTF8.self) {
                json.field("body", text)
            } else {
                json.field("body_base64", Base64.encode(record.body))
            }
        }
        return json.bytes
    }
}
