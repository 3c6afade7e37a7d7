import Glibc
internal import Transports

/// Where the text of a token is found.
enum PulsarToken {
    static func read(_ path: String) throws(PulsarError) -> String {
        do throws(SmallFile.Failure) {
            return try SmallFile.text(path, limit: SmallFile.tokenLimit, what: "the token")
        } catch {
            throw PulsarError(.credentialsUnavailable, error.message)
        }
    }

    static func variable(_ name: String) throws(PulsarError) -> String {
        guard let value = getenv(name), value.pointee != 0 else {
            throw PulsarError(.credentialsUnavailable, "the environment variable \(name), for the token, is not set")
        }
        return String(cString: value)
    }
}
