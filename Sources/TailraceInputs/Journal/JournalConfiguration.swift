/// One journal input: what is read, from where on, and what is taken along.
package struct JournalConfiguration: Equatable, Sendable {
    /// Where to begin in a journal that was never read before.
    package enum Start: String, Equatable, Sendable, CaseIterable {
        /// With the first entry of this boot.
        case boot
        /// With the oldest entry.
        case all
        /// With the first entry after the start.
        case now
    }

    /// Which fields become properties.
    package enum Fields: String, Equatable, Sendable, CaseIterable {
        /// `severity`, `facility`, `unit`, `pid`, `app` and `event_time`.
        case standard
        /// And every other field under its own name.
        case all
    }

    /// The input's name in the configuration.
    package var name: String
    /// The journal of this namespace instead of the system's; "" for the system's.
    package var namespace = ""
    /// Journal files lie here instead of where journald puts them; "" for there. Not together with a namespace.
    package var directory = ""
    /// Entries of any of these units only; empty: of all.
    package var units: [String] = []
    /// Entries with any of these syslog identifiers only; empty: all.
    package var identifiers: [String] = []
    /// The least urgent priority that is taken, or `FROM..TO`; "" for all.
    package var priority = ""
    /// `FIELD=VALUE`: of those with the same field any must hold, of different fields all.
    package var matches: [String] = []
    package var start = Start.boot
    package var fields = Fields.standard
    /// Bytes of a message; a longer one is cut there and marked.
    package var maximumLine = 960 << 10
    /// The program that reads the journal.
    package var program = "/usr/bin/journalctl"

    package init(name: String) { self.name = name }

    /// What records carry as `source`. One source for one journal: the order of its entries is kept in a partition also
    /// when `source` is the routing key.
    package var source: String {
        let journal = directory.isEmpty ? namespace : directory
        return journal.isEmpty ? "journal" : "journal:\(journal)"
    }

    /// Bytes of the longest record with its properties.
    package var maximumRecord: Int { maximumLine + JournalRecord.maximumAttributes }

    /// Whether journald leaves entries out, so that gaps in their numbers mean nothing.
    package var isFiltered: Bool {
        !(units.isEmpty && identifiers.isEmpty && matches.isEmpty && priority.isEmpty)
    }
}

/// Named limits of the journal inputs; tests shorten them.
package struct JournalLimits: Sendable {
    /// A batch waits so long for more entries.
    package var gatherInterval: Duration = .milliseconds(10)
    /// The first wait before a reader that ended is started again; it doubles each time, up to `maximumBackoff`.
    package var minimumBackoff: Duration = .milliseconds(100)
    package var maximumBackoff: Duration = .seconds(30)
    /// A reader that says nothing is checked this often: does the journal end with another entry than we have?
    package var checkInterval: Duration = .seconds(60)
    /// If it does, the reader has so long to come up with it; then it is killed and started again.
    package var stuckAfter: Duration = .seconds(10)
    /// A question to the journal, such as for its last entry, is given up after so long.
    package var queryTimeout: Duration = .seconds(30)
    /// After so many failures in a row without a new entry, the reader goes on by time instead of by cursor.
    package var failuresBeforeTime = 5
    /// An entry in whose middle the reader has ended so many times in a row is passed on as far as it came.
    package var failuresInEntry = 3

    package init() {}
}
