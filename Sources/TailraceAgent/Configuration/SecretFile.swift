internal import Transports

/// A small file that holds one secret, with or without white space around it.
package enum SecretFile {
    /// Bytes of it.
    static let sizeLimit = 64 << 10

    /// - Parameter what: names the option or key in an error.
    package static func read(_ path: String, what: String) throws(AgentError) -> String {
        let bytes: [UInt8]
        do throws(SmallFile.Failure) {
            bytes = try SmallFile.bytes(path, limit: sizeLimit, what: what, takesPipes: true)
        } catch {
            throw AgentError("\(what) \(path) cannot be read: \(error.reason)")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw AgentError("\(what) \(path) is not text")
        }
        let trimmed = String(text.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
        guard !trimmed.isEmpty else { throw AgentError("\(what) \(path) is empty") }
        return trimmed
    }
}
