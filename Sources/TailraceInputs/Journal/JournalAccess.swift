import CTailrace
import Glibc

/// Whether this process may read the whole journal. journalctl does not fail without the right: it shows the entries of
/// its own user, and looks fine.
package enum JournalAccess: Equatable, Sendable {
    case granted
    /// What is wrong, and what to do.
    case troubled(String)

    package static func check(_ configuration: JournalConfiguration) -> JournalAccess {
        if !configuration.directory.isEmpty { return check(directory: configuration.directory) }
        guard let machine = machineID() else {
            return .troubled("/etc/machine-id cannot be read; systemd-machine-id-setup makes it")
        }
        let folder = configuration.namespace.isEmpty ? machine : "\(machine).\(configuration.namespace)"
        return check(
            files: ["/run/log/journal", "/var/log/journal"].map { "\($0)/\(folder)/system.journal" },
            namespace: configuration.namespace)
    }

    static func check(directory: String) -> JournalAccess {
        if isAllowed(directory, R_OK | X_OK) { return .granted }
        return .troubled("\(directory) cannot be read: \(describeErrno(errno)); let the agent's user read it")
    }

    /// - Parameter files: where the system's journal may be: in memory, on disk, or both.
    static func check(files: [String], namespace: String) -> JournalAccess {
        var refused: String?
        for file in files {
            if isAllowed(file, R_OK) { return .granted }
            if errno == EACCES { refused = refused ?? file }
        }
        if let refused {
            return .troubled(
                "\(refused) may not be read: only entries of the agent's own user are seen; add that user to the group"
                    + " systemd-journal (usermod -aG systemd-journal USER) and start the agent again")
        }
        return .troubled(
            namespace.isEmpty
                ? "there is no system journal; is systemd-journald running?"
                : "there is no journal of namespace \(namespace); does a unit with LogNamespace=\(namespace) run?")
    }

    /// By the effective user, which is the one that journalctl will run as.
    private static func isAllowed(_ path: String, _ mode: Int32) -> Bool {
        faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0
    }

    static func machineID() -> String? {
        guard let file = fopen("/etc/machine-id", "r") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 32)
        guard fread(&bytes, 1, 32, file) == 32, bytes.allSatisfy({ $0 != 0x0A && $0 != 0 }) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }
}
