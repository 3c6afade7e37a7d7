internal import TailraceSpool

/// Records as people read them on a terminal.
enum RecordText {
    /// Bytes of a body that are shown.
    private static let shownBody = 4096

    /// The body's lines, each behind a bar; what a terminal would obey is replaced.
    static func lines(of body: UnsafeRawBufferPointer) -> [String] {
        var shown = body.prefix(shownBody).split(separator: 0x0A, omittingEmptySubsequences: false).map { line in
            "    | "
                + String(
                    String.UnicodeScalarView(
                        String(decoding: line, as: UTF8.self).unicodeScalars.map {
                            $0.properties.generalCategory == .control && $0 != "\t" ? "\u{FFFD}" : $0
                        }))
        }
        if body.count > shownBody { shown.append("    … of \(body.count) bytes") }
        return shown
    }

    static func properties(_ attributes: UnsafeRawBufferPointer) -> String {
        var parts: [String] = []
        RecordAttributes.forEach(in: attributes) { key, value in
            let name = String(decoding: key, as: UTF8.self)
            switch value {
            case .integer(let number): parts.append("\(name)=\(number)")
            case .string(let text): parts.append("\(name)=\"\(String(decoding: text, as: UTF8.self))\"")
            }
        }
        return parts.joined(separator: " ")
    }
}
