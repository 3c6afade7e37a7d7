package import TailraceInputs
package import TailraceSpool

/// The positions that the spool holds: of files, and of what else is read.
package struct PositionsReport: Equatable, Sendable {
    package private(set) var files: [StoredFilePosition] = []
    package private(set) var journals: [StoredJournalPosition] = []
    /// Of what this version does not know: key and value as they are stored.
    package private(set) var others: [Other] = []

    package struct Other: Equatable, Sendable {
        package var key: String
        package var value: String
    }

    package init(_ positions: [SourceKey: [UInt8]]) {
        for (key, value) in positions {
            if let file = StoredFilePosition(source: key, value: value) {
                files.append(file)
            } else if let journal = StoredJournalPosition(source: key, value: value) {
                journals.append(journal)
            } else {
                others.append(Other(key: Self.readable(key.bytes), value: Self.readable(value)))
            }
        }
        files.sort { ($0.path, $0.inode, $0.generation) < ($1.path, $1.inode, $1.generation) }
        journals.sort { ($0.journal, $0.input) < ($1.journal, $1.input) }
        others.sort { $0.key < $1.key }
    }

    /// Printable ASCII as it is, other bytes as `\xNN`.
    private static func readable(_ bytes: [UInt8]) -> String {
        bytes.reduce(into: "") { text, byte in
            if byte >= 0x20, byte < 0x7F, byte != UInt8(ascii: "\\") {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                text += "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }
        }
    }

    /// For people: a line for each.
    package var text: String {
        var lines = files.map { file in
            let place = "offset \(file.offset)" + (file.size.map { " of \($0) bytes" } ?? ", not there now")
            let label = file.source == file.path ? "" : ", source \(file.source)"
            return "\(file.path): \(place)\(label), generation \(file.generation), inode \(file.inode)"
                + (file.isCopy ? ", a copy" : "")
        }
        lines += journals.map { "\($0.journal) of input \($0.input): \(Self.place($0))" }
        lines += others.map { "\($0.key): \($0.value)" }
        if lines.isEmpty { lines = ["no positions"] }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func place(_ journal: StoredJournalPosition) -> String {
        let which =
            switch journal.place {
            case .after: "read up to"
            case .at: "to be read from"
            case .beginning: "to be read from its beginning"
            }
        guard journal.place != .beginning else { return which }
        return which + (journal.sequence.map { " entry \($0)" } ?? " an entry")
            + " of \(Timestamp.text(milliseconds: journal.time)), cursor \(readable(Array(journal.cursor.utf8)))"
    }

    /// One object; the names are part of the command's contract.
    package var json: [UInt8] {
        var json = JSONText()
        json.object { json in
            json.key("files")
            json.array(files) { json, file in json.object { file.write(to: &$0) } }
            json.key("journals")
            json.array(journals) { json, journal in json.object { journal.write(to: &$0) } }
            json.key("others")
            json.array(others) { json, other in
                json.object {
                    $0.field("key", other.key)
                    $0.field("value", other.value)
                }
            }
        }
        return json.bytes
    }
}

extension StoredFilePosition {
    func write(to json: inout JSONText) {
        json.field("path", path)
        json.field("source", source)
        json.field("device", device)
        json.field("inode", inode)
        json.field("generation", generation)
        json.field("offset", offset)
        if let size { json.field("size", size) } else { json.field("size", nil) }
        json.field("copy", isCopy)
    }
}

extension StoredJournalPosition {
    fileprivate func write(to json: inout JSONText) {
        json.field("journal", journal)
        json.field("input", input)
        json.field("place", place.rawValue)
        if let sequence { json.field("entry", sequence) } else { json.field("entry", nil) }
        json.field("time", place == .beginning ? nil : Timestamp.text(milliseconds: time))
        json.field("cursor", cursor)
    }
}
