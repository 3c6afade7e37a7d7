/// A small file that holds one secret, with or without white space around it.
package enum SecretFile {
    /// - Parameter what: names the option or key in an error.
    package static func read(_ path: String, what: String) throws(AgentError) -> String {
        let bytes: [UInt8]
        switch SmallFile.read(path, limit: 64 << 10) {
        case .failure(let error): throw AgentError("\(what) \(path) cannot be read: \(error.reason)")
        case .success(let content): bytes = content
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw AgentError("\(what) \(path) is not text")
        }
        let trimmed = String(text.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
        guard !trimmed.isEmpty else { throw AgentError("\(what) \(path) is empty") }
        return trimmed
    }
}
