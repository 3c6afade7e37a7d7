import Glibc

/// The fields of a journal entry that Tailrace gives a meaning to.
enum JournalField: Int, CaseIterable {
    case cursor, realtime
    case message, messageID, transport, dropped
    case priority, facility, unit, userUnit, processID, claimedProcessID, identifier, command, host, invocation

    var name: StaticString {
        switch self {
        case .cursor: "__CURSOR"
        case .realtime: "__REALTIME_TIMESTAMP"
        case .message: "MESSAGE"
        case .messageID: "MESSAGE_ID"
        case .transport: "_TRANSPORT"
        case .dropped: "N_DROPPED"
        case .priority: "PRIORITY"
        case .facility: "SYSLOG_FACILITY"
        case .unit: "_SYSTEMD_UNIT"
        case .userUnit: "_SYSTEMD_USER_UNIT"
        case .processID: "_PID"
        case .claimedProcessID: "SYSLOG_PID"
        case .identifier: "SYSLOG_IDENTIFIER"
        case .command: "_COMM"
        case .host: "_HOSTNAME"
        case .invocation: "_SYSTEMD_INVOCATION_ID"
        }
    }

    /// By length, so that most names are told apart without looking at their bytes.
    private static let byLength: [[JournalField]] = (0...JournalExportParser.maximumName).map { length in
        allCases.filter { $0.name.utf8CodeUnitCount == length }
    }

    /// Nil for every other name.
    init?(_ name: UnsafeRawBufferPointer) {
        guard name.count < Self.byLength.count, let base = name.baseAddress else { return nil }
        for field in Self.byLength[name.count] where memcmp(field.name.utf8Start, base, name.count) == 0 {
            self = field
            return
        }
        return nil
    }
}
