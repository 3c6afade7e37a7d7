package import TailraceSpool

/// What `tailrace spool verify` found in every byte of a spool.
package struct SpoolVerification {
    private let spool: StoredSpool

    /// - Parameter spool: read with `everything`.
    package init(_ spool: StoredSpool) { self.spool = spool }

    private var lost: UInt64 { spool.damage.reduce(0) { $0 + UInt64($1.ids.count) } }

    /// Ledgers that cannot be read, or that want records that are not there any more.
    private var troubledOutputs: [(name: String, trouble: String)] {
        spool.ledgers.compactMap { ledger in
            guard let state = ledger.state else {
                return (ledger.output, "its ledger cannot be read: everything in the spool would be sent to it again")
            }
            guard state.floor < spool.firstSequence, !spool.segments.isEmpty else { return nil }
            let missing = spool.firstSequence - state.floor
            return (
                ledger.output,
                "it wants \(state.floor), and the spool begins at \(spool.firstSequence): "
                    + "\(counted(missing, "record")) gone"
            )
        }
    }

    /// Nothing is damaged, and every output finds what it wants.
    package var isWhole: Bool { spool.damage.isEmpty && troubledOutputs.isEmpty }

    /// For people: a line for each damage, then the sum.
    package var text: String {
        var lines = spool.damage.map { damage in
            let place =
                damage.bytes.isEmpty
                ? "what follows byte \(damage.bytes.lowerBound) is missing"
                : "bytes \(damage.bytes.lowerBound) to \(damage.bytes.upperBound - 1) are damaged"
            let loss =
                damage.ids.isEmpty
                ? "no record is lost"
                : "records \(damage.ids.lowerBound) to \(damage.ids.upperBound - 1) are lost"
            return "\(damage.segment): \(place), \(loss)"
        }
        lines += troubledOutputs.map { "output \($0.name): \($0.trouble)" }
        let records = spool.segments.reduce(0) { $0 + UInt64($1.ids.count) } - lost
        lines.append(
            "\(counted(spool.segments.count, "segment")), \(counted(records, "whole record")), "
                + (isWhole ? "no damage" : "\(counted(lost, "record")) lost"))
        return lines.joined(separator: "\n") + "\n"
    }

    /// One object; the names are part of the command's contract.
    package var json: [UInt8] {
        var json = JSONText()
        json.object { json in
            json.field("directory", spool.directory)
            json.field("whole", isWhole)
            json.field("segments", spool.segments.count)
            json.field("lost_records", lost)
            json.key("damage")
            json.array(spool.damage) { json, damage in
                json.object { json in
                    json.field("segment", damage.segment)
                    json.field("first_byte", damage.bytes.lowerBound)
                    json.field("bytes", damage.bytes.count)
                    json.field("first_record", damage.ids.lowerBound)
                    json.field("records", damage.ids.count)
                }
            }
            json.key("outputs")
            json.array(troubledOutputs) { json, output in
                json.object { json in
                    json.field("name", output.name)
                    json.field("trouble", output.trouble)
                }
            }
        }
        return json.bytes
    }
}
