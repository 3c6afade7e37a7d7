/// One thing that `tailrace check --deep` has looked at.
package struct Finding: Equatable, Sendable {
    package enum Level: String, Equatable, Sendable {
        case ok
        /// The agent runs, but somebody should know.
        case warning
        /// The agent does not start, or does not do what it is configured for.
        case error
    }

    package var level: Level
    /// What was looked at, such as "output hub, TLS".
    package var subject: String
    /// A path, or an address.
    package var place: String
    package var message: String
    /// What to do about it; nil: nothing, or the message tells.
    package var remedy: String?

    /// One line, in columns as far as they go.
    package var line: String {
        let word = level.rawValue + String(repeating: " ", count: 8 - level.rawValue.utf8.count)
        return "\(word)\(subject): \(place.isEmpty ? "" : "\(place): ")\(message)\(remedy.map { "; \($0)" } ?? "")"
    }

    package func write(to json: inout JSONText) {
        json.object { json in
            json.field("level", level.rawValue)
            json.field("subject", subject)
            json.field("place", place)
            json.field("message", message)
            json.field("remedy", remedy)
        }
    }
}
