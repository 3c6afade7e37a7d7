internal import TailraceInputs

/// `[input.NAME]`: what all types have, and what the type has.
package struct InputSettings: Equatable, Sendable {
    package enum Kind: Equatable, Sendable {
        case file(FileInputSettings)
        case syslog(SyslogInputSettings)
    }

    package var name: String
    package var kind: Kind

    package init(name: String, _ kind: Kind) {
        self.name = name
        self.kind = kind
    }

    /// As the configuration calls it.
    package var type: String {
        switch kind {
        case .file: "file"
        case .syslog: "syslog"
        }
    }

    /// Bytes of the longest record.
    package var maximumLine: Int {
        switch kind {
        case .file(let settings): settings.maximumLine
        case .syslog(let settings): settings.maximumMessage + SyslogConfiguration.attributeRoom
        }
    }
}

/// `[input.NAME]` of type "file".
package struct FileInputSettings: Equatable, Sendable {
    package enum Start: String, Equatable, Sendable, CaseIterable { case beginning, end }

    /// Small enough to leave room for the properties in an Event Hubs message of 1 MiB.
    package static let defaultMaximumLine = 960 << 10
    package static let maximumLines: ClosedRange<UInt64> = 64...(16 << 20)

    package var include: [String]
    package var exclude: [String] = []
    /// Bytes; a longer line is cut there and marked.
    package var maximumLine = Self.defaultMaximumLine
    /// Where to begin in a file that was there before the agent saw it for the first time.
    package var start = Start.beginning
}
