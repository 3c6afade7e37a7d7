internal import Transports

/// A file that holds a secret of a line or so.
enum SecretFile {
    /// - Parameter following: whether the last part of the path may be a symbolic link.
    /// - Throws: `EventHubsError` with code `connectFailed`: the file may be there later.
    static func text(
        _ path: String, limit: Int, what: String, following: Bool = true
    ) throws(EventHubsError) -> String {
        do throws(SmallFile.Failure) {
            return try SmallFile.text(path, limit: limit, what: what, following: following)
        } catch {
            throw EventHubsError(.connectFailed, error.message)
        }
    }
}
