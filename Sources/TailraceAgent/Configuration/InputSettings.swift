package import TailraceInputs
package import TailraceSpool

/// `[input.NAME]`: what all types have, and what the type has.
package struct InputSettings: Equatable, Sendable {
    package enum Kind: Equatable, Sendable {
        case file(FileInputSettings)
        case syslog(SyslogInputSettings)
        case journal(JournalConfiguration)
    }

    package var name: String
    package var kind: Kind
    /// Which records go along, and what of them is hidden: `keep`, `drop`, `sample`, `redact`.
    package var filter = RecordFilterRules()
    /// `fields`: properties that every record gets.
    package var fields: [RecordContext.Field] = []

    package init(name: String, _ kind: Kind) {
        self.name = name
        self.kind = kind
    }

    /// As the configuration calls it.
    package var type: String {
        switch kind {
        case .file: "file"
        case .syslog: "syslog"
        case .journal: "journal"
        }
    }

    /// What it reads stays where it is until there is room. Messages of syslog, which may be datagrams, do not.
    package var canWait: Bool {
        switch kind {
        case .file, .journal: true
        case .syslog: false
        }
    }

    /// Bytes of a block that the longest record needs. Containers' lines are written anew in it, with properties.
    package var maximumLine: Int {
        switch kind {
        case .file(let settings): settings.format == nil ? settings.maximumLine : settings.maximumLine * 2 + 8192
        case .syslog(let settings): settings.maximumMessage + SyslogConfiguration.attributeRoom
        case .journal(let settings): settings.maximumRecord
        }
    }
}

/// `[input.NAME]` of type "file".
package struct FileInputSettings: Equatable, Sendable {
    package enum Start: String, Equatable, Sendable, CaseIterable { case beginning, end }
    package enum LineEnd: String, Equatable, Sendable, CaseIterable { case lf, crlf }

    /// Small enough to leave room for the properties in an Event Hubs message of 1 MiB.
    package static let defaultMaximumLine = 960 << 10
    package static let maximumLines: ClosedRange<UInt64> = 64...(16 << 20)

    package var include: [String]
    package var exclude: [String] = []
    /// Bytes; a longer line is cut there and marked.
    package var maximumLine = Self.defaultMaximumLine
    /// Where to begin in a file that was there before the agent saw it for the first time.
    package var start = Start.beginning
    /// How a container's run-time has wrapped the lines; nil = not at all.
    package var format: ContainerFormat?
    /// How lines make records of several lines; nil = each is one.
    package var multiline: MultilineRules?
    /// A file that had not changed for so long when it was first seen is begun at its end.
    package var ignoreOlder: Duration?
    /// What ends a line; with `crlf` a carriage return before the newline is no part of the record.
    package var lineEnd = LineEnd.lf
    /// How the files stand for text; nil = UTF-8, or what their byte order mark says.
    package var encoding: TextEncoding?
    /// Deleted files are held open until they are read while their file system has as many bytes free as this.
    package var deletedMinimumFree: UInt64 = 256 << 20
}
