import Glibc
package import TailraceDelivery
package import TailraceSpool

/// What `tailrace spool dead ls` shows: per output, how many records its service refused for good, and why.
package struct DeadLetterListing {
    fileprivate struct Output {
        let name: String
        let directory: String
        var records: UInt64 = 0
        /// The id behind the last.
        var end: UInt64 = 0
        var bytes: UInt64 = 0
        var first: Int64?
        var last: Int64?
        var reasons: [(text: String, records: UInt64)] = []
    }

    /// Different reasons that are counted apart.
    fileprivate static let maximumReasons = 100
    fileprivate static let others = "other reasons"

    private var outputs: [Output] = []

    /// - Parameters:
    ///   - only: of this output alone; nil: of all.
    ///   - wanted: only records with these ids.
    package init(_ places: AgentPlaces, only: String? = nil, within wanted: [Range<UInt64>] = [0..<UInt64.max]) throws {
        let prefix = AgentPlaces.deadLetterPrefix
        let names = try SpoolDirectory(path: places.stateDirectory).names()
        let wanted = SettledLetters(wanted)
        for name in names.sorted() where name.hasPrefix(prefix) {
            let output = String(name.dropFirst(prefix.count))
            guard only.map({ $0 == output }) ?? true, let spool = try Self.open(places, output: output) else {
                continue
            }
            outputs.append(try Self.read(spool, output, wanted, without: Self.settled(places, output: output)))
        }
    }

    /// Outputs that have dead letters.
    package var names: [String] { outputs.filter { $0.records > 0 }.map(\.name) }

    /// Of all outputs.
    package var records: UInt64 { outputs.reduce(0) { $0 + $1.records } }

    /// The id behind the last of them.
    package var end: UInt64 { outputs.reduce(0) { max($0, $1.end) } }

    /// Which of an output's dead letters were replayed or dropped, as far as the disk knows.
    package static func settled(_ places: AgentPlaces, output: String) throws -> SettledLetters {
        let positions: [SourceKey: [UInt8]]
        do throws(SpoolError) {
            positions = try Spool.storedPositions(directory: places.spool)
        } catch {
            // A spool that is gone says nothing.
            guard case .file(let reason) = error, reason.isMissing else { throw error }
            return SettledLetters()
        }
        guard let value = positions[SettledLetters.key(output: output)] else { return SettledLetters() }
        guard let settled = SettledLetters(value: value) else { throw DeadLetterError.unknownPosition(output: output) }
        return settled
    }

    /// The spool with an output's dead letters; nil when there is none.
    package static func open(_ places: AgentPlaces, output: String) throws -> StoredSpool? {
        do throws(SpoolError) {
            return try StoredSpool(directory: places.deadLetters(output: output))
        } catch {
            guard case .file(let reason) = error, reason.isMissing else { throw error }
            return nil
        }
    }

    private static func read(
        _ spool: StoredSpool, _ name: String, _ wanted: SettledLetters, without settled: SettledLetters
    ) throws -> Output {
        var output = Output(name: name, directory: spool.directory)
        var frames = spool.frames()
        while let frame = try frames.next() {
            for index in 0..<frame.recordCount {
                let id = frame.firstSequence + UInt64(index)
                guard wanted.contains(id), !settled.contains(id) else { continue }
                output.first = min(output.first ?? .max, frame.time)
                output.last = max(output.last ?? .min, frame.time)
                output.end = id + 1
                output.records += 1
                output.bytes += UInt64(frame.body(index).count)
                output.count(DeadLetterReason.text(of: frame.attributes(of: index)))
            }
        }
        output.reasons.sort { $0.records > $1.records }
        return output
    }

    /// For people.
    package var text: String {
        guard outputs.contains(where: { $0.records > 0 }) else { return "no dead letters\n" }
        var lines: [String] = []
        for output in outputs where output.records > 0 {
            let period = [output.first, output.last].compactMap { $0.map(Timestamp.text(milliseconds:)) }
            lines.append(
                "output \(output.name): \(counted(output.records, "record")), \(Quantity.describe(bytes: output.bytes)), "
                    + "read \(period.joined(separator: " to "))")
            for reason in output.reasons { lines.append("  \(reason.records): \(reason.text)") }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// One object; the names are part of the command's contract.
    package var json: [UInt8] {
        var json = JSONText()
        json.object { json in
            json.key("outputs")
            json.array(outputs) { json, output in
                json.object { json in
                    json.field("name", output.name)
                    json.field("directory", output.directory)
                    json.field("records", output.records)
                    json.field("bytes", output.bytes)
                    json.key("reasons")
                    json.array(output.reasons) { json, reason in
                        json.object { json in
                            json.field("reason", reason.text)
                            json.field("records", reason.records)
                        }
                    }
                }
            }
        }
        return json.bytes
    }
}

extension DeadLetterListing.Output {
    fileprivate mutating func count(_ reason: String) {
        if let known = reasons.firstIndex(where: { $0.text == reason }) {
            reasons[known].records += 1
        } else if reasons.count < DeadLetterListing.maximumReasons {
            reasons.append((reason, 1))
        } else if let others = reasons.firstIndex(where: { $0.text == DeadLetterListing.others }) {
            reasons[others].records += 1
        } else {
            reasons.append((DeadLetterListing.others, 1))
        }
    }
}
