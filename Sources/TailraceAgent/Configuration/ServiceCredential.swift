import Glibc

/// A file that the service manager hands to the service alone (`LoadCredential=` of its unit, systemd.exec(5)), written
/// "credential:NAME" where the configuration wants a file.
enum ServiceCredential {
    private static let scheme = "credential:"
    /// Where the credentials of the packaged unit are while it runs, for root, who calls a command by hand.
    private static let usualDirectory = "/run/credentials/tailrace.service"

    enum Failure: Error, Equatable {
        case name
        case noDirectory
    }

    /// The path of the file; nil when `text` names no credential.
    ///
    /// - Parameter directory: where the service manager says that they are.
    static func path(
        _ text: String,
        directory: String? = getenv("CREDENTIALS_DIRECTORY").map { String(cString: $0) }
    ) throws(Failure) -> String? {
        guard text.hasPrefix(scheme) else { return nil }
        let name = String(text.dropFirst(scheme.count))
        guard (1...255).contains(name.utf8.count), !name.utf8.contains(0x2F), !name.utf8.contains(0), name != ".",
            name != ".."
        else { throw .name }
        if let directory, directory.hasPrefix("/") { return "\(directory)/\(name)" }
        guard access(usualDirectory, X_OK) == 0 else { throw .noDirectory }
        return "\(usualDirectory)/\(name)"
    }
}
