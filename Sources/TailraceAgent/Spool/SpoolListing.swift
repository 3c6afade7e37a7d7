package import TailraceSpool

/// What `tailrace spool ls` shows: the segments, who still wants what, and what lies beside them.
package struct SpoolListing {
    private let spool: StoredSpool

    package init(_ spool: StoredSpool) { self.spool = spool }

    private var bytes: UInt64 { spool.segments.reduce(0) { $0 + UInt64($1.bytes) } }
    private var records: UInt64 { spool.segments.reduce(0) { $0 + UInt64($1.ids.count) } }

    /// For people.
    package var text: String {
        var lines = [
            "spool \(spool.directory): \(counted(spool.segments.count, "segment")), "
                + "\(Quantity.describe(bytes: bytes)), \(counted(records, "record")), "
                + counted(spool.positions.count, "position")
        ]
        for segment in spool.segments {
            let ids =
                segment.ids.isEmpty ? "no records" : "ids \(segment.ids.lowerBound) to \(segment.ids.upperBound - 1)"
            let created = segment.created.map { ", begun \(Timestamp.text(milliseconds: $0))" } ?? ""
            lines.append(
                "  \(segment.name): \(ids), \(Quantity.describe(bytes: UInt64(segment.used))) of "
                    + "\(Quantity.describe(bytes: UInt64(segment.bytes)))\(created)"
                    + (segment.isDamaged ? ", DAMAGED" : ""))
        }
        for ledger in spool.ledgers { lines += text(of: ledger) }
        if spool.spares > 0 { lines.append("  \(counted(spool.spares, "spare segment"))") }
        if spool.unfinishedBytes > 0 {
            lines.append("  \(counted(spool.unfinishedBytes, "byte")) behind the last durable record: on their way")
        }
        for name in spool.foreignFiles { lines.append("  \(name): not a part of the spool") }
        return lines.joined(separator: "\n") + "\n"
    }

    private func text(of ledger: StoredSpool.Ledger) -> [String] {
        guard let state = ledger.state else { return ["output \(ledger.output): ITS LEDGER CANNOT BE READ"] }
        let end = spool.endSequence
        let left = end > state.floor ? end - state.floor : 0
        var lines = [
            "output \(ledger.output): acknowledged below \(state.floor), \(counted(left, "record")) at most to go"
                + (ledger.damagedSlots > 0 ? ", \(counted(ledger.damagedSlots, "slot")) of its ledger DAMAGED" : "")
        ]
        for (number, partition) in state.partitions.enumerated() {
            let service = partition.serviceNumber >= 0 ? ", the service's number \(partition.serviceNumber)" : ""
            lines.append("  partition \(number): next wanted \(partition.acknowledged)\(service)")
        }
        return lines
    }

    /// One object; the names are part of the command's contract.
    package var json: [UInt8] {
        var json = JSONText()
        json.object { json in
            json.field("directory", spool.directory)
            json.field("bytes", bytes)
            json.field("records", records)
            json.field("positions", spool.positions.count)
            json.field("spare_segments", spool.spares)
            json.field("unfinished_bytes", spool.unfinishedBytes)
            json.key("segments")
            json.array(spool.segments) { json, segment in
                json.object { json in
                    json.field("name", segment.name)
                    json.field("first", segment.ids.lowerBound)
                    json.field("end", segment.ids.upperBound)
                    json.field("bytes", segment.bytes)
                    json.field("used_bytes", segment.used)
                    json.field("begun", segment.created.map(Timestamp.text(milliseconds:)))
                    json.field("damaged", segment.isDamaged)
                }
            }
            json.key("outputs")
            json.array(spool.ledgers) { json, ledger in
                json.object { json in
                    json.field("name", ledger.output)
                    json.field("readable", ledger.state != nil)
                    json.field("damaged_slots", ledger.damagedSlots)
                    guard let state = ledger.state else { return }
                    json.field("acknowledged_below", state.floor)
                    json.key("partitions")
                    json.array(state.partitions) { json, partition in
                        json.object { json in
                            json.field("next_wanted", partition.acknowledged)
                            json.field("service_number", partition.serviceNumber)
                        }
                    }
                }
            }
            json.key("foreign_files")
            json.array(spool.foreignFiles) { $0.value($1) }
        }
        return json.bytes
    }
}
