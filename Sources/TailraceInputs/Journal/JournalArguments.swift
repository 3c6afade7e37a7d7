/// The command lines of journalctl. Each setting is one argument with its option's name before it, or follows a `--`, so
/// that none can become an option; no shell sees them.
struct JournalArguments {
    private let configuration: JournalConfiguration
    private let machine: String?

    /// - Parameter machine: this machine's id; of its own journals, only its own entries are read.
    init(_ configuration: JournalConfiguration, machine: String?) {
        self.configuration = configuration
        self.machine = configuration.directory.isEmpty ? machine : nil
    }

    private var own: [String] { machine.map { ["_MACHINE_ID=\($0)"] } ?? [] }

    /// Behind the mark that ends the options.
    private func marked(_ matches: [String]) -> [String] { matches.isEmpty ? [] : ["--"] + matches }

    /// `--quiet`: else the name of each new boot would stand between the entries. `--merge`: else `--follow` leaves out
    /// every boot but the last (systemd 252), and with them what was not read before a reboot.
    private var journal: [String] {
        var arguments = ["--output=export", "--all", "--quiet", "--no-pager", "--merge"]
        if !configuration.namespace.isEmpty { arguments.append("--namespace=\(configuration.namespace)") }
        if !configuration.directory.isEmpty { arguments.append("--directory=\(configuration.directory)") }
        return arguments
    }

    private var filters: [String] {
        var arguments = configuration.units.map { "--unit=\($0)" }
        arguments += configuration.identifiers.map { "--identifier=\($0)" }
        if !configuration.priority.isEmpty { arguments.append("--priority=\(configuration.priority)") }
        return arguments + marked(own + configuration.matches)
    }

    /// Everything from the position on, and then what comes.
    ///
    /// The entry of the cursor comes first, and is left out by us: with `--after-cursor` journalctl leaves out the
    /// first entry that it finds, also when that is another one because the cursor's entry is gone or filtered out
    /// (systemd 252).
    func follow(from position: JournalPosition, byTime: Bool) -> [String] {
        var arguments = journal + ["--follow", "--no-tail"]
        switch position.kind {
        case .head: break
        case .at, .after: arguments.append(byTime ? Self.since(position) : Self.cursor(position))
        }
        return arguments + filters
    }

    /// The first entry at or after the position, whatever the filters are.
    func first(from position: JournalPosition) -> [String] {
        journal + [Self.brief, Self.cursor(position)] + marked(own)
    }

    /// The last entry that the filters let through.
    var last: [String] { journal + [Self.brief, "--lines=1"] + filters }

    /// The last entry, whatever the filters are.
    var lastOfAll: [String] { journal + [Self.brief, "--lines=1"] + marked(own) }

    /// The first entry of this boot, whatever the filters are. journalctl does not take `--boot` together with `--merge`.
    var firstOfBoot: [String] { journal.filter { $0 != "--merge" } + [Self.brief, "--boot"] + marked(own) }

    /// The address fields come always.
    private static let brief = "--output-fields=_BOOT_ID"

    private static func cursor(_ position: JournalPosition) -> String {
        "--cursor=\(String(decoding: position.cursor, as: UTF8.self))"
    }

    /// From the position's time on; behind it, when its entry could not be told from others of that time.
    private static func since(_ position: JournalPosition) -> String {
        let microseconds = position.realtime &+ (position.kind == .after && position.entry == nil ? 1 : 0)
        let fraction = String(microseconds % 1_000_000)
        return "--since=@\(microseconds / 1_000_000)."
            + String(repeating: "0", count: 6 - fraction.utf8.count) + fraction
    }
}

/// What journalctl takes: checked before it is asked, so that a mistake shows in the configuration and not in a reader
/// that ends again and again.
package enum JournalSyntax {
    private static let levels = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"]

    /// A text that can be an argument: 1 to 1024 bytes without control characters.
    package static func isText(_ text: String) -> Bool {
        (1...1024).contains(text.utf8.count) && text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
    }

    /// A unit in full: journalctl looks up a pattern once, and units that come later would be left out.
    package static func isUnit(_ text: String) -> Bool {
        isText(text) && text.utf8.count <= 255
            && !text.contains { $0 == "*" || $0 == "?" || $0 == "[" || $0 == " " || $0 == "/" }
    }

    /// One namespace: several have no common order, so one cursor cannot tell how far each has been read.
    package static func isNamespace(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                    true
                default: false
                }
            } && text != "." && text != ".."
    }

    /// A level by name or number, or `FROM..TO`.
    package static func isPriority(_ text: String) -> Bool {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        switch parts.count {
        case 1: return isLevel(parts[0])
        case 3: return parts[1].isEmpty && isLevel(parts[0]) && isLevel(parts[2])
        default: return false
        }
    }

    private static func isLevel(_ text: Substring) -> Bool {
        levels.contains(String(text)) || text.utf8.count == 1 && ("0"..."7").contains(text)
    }

    /// `FIELD=VALUE` with a field's name of capital letters, digits and `_`, not beginning with a digit.
    package static func isMatch(_ text: String) -> Bool {
        guard text.utf8.count <= 4096, !text.utf8.contains(0),
            let end = text.utf8.firstIndex(of: UInt8(ascii: "=")), end != text.startIndex
        else { return false }
        let name = text.utf8[..<end]
        return name.count <= JournalExportParser.maximumName && !("0"..."9").contains(text[text.startIndex])
            && name.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }
}
