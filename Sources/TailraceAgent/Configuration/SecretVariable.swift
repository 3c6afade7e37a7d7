import Glibc

/// A secret in the environment of the process, written "environment:NAME" where the configuration wants a file with a secret
/// that is read when the configuration is.
enum SecretVariable {
    private static let scheme = "environment:"

    /// Keys of files that may be variables instead; others name files that are read later, or by others.
    static let keys: Set<String> = [
        "connection_string_file", "client_secret_file", "proxy_password_file", "token_file", "basic_password_file",
        "oauth2_client_secret_file",
    ]

    /// The variable's name; nil when `text` names none. It may be no name at all.
    static func name(_ text: String) -> String? {
        text.hasPrefix(scheme) ? String(text.dropFirst(scheme.count)) : nil
    }

    /// As POSIX has it (XBD 8.1), in either case.
    static func isName(_ name: String) -> Bool {
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        return (1...255).contains(name.utf8.count) && !digits.contains(name.utf8.first ?? digits.lowerBound)
            && name.utf8.allSatisfy {
                digits.contains($0) || $0 == UInt8(ascii: "_")
                    || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0 | 0x20)
            }
    }

    static func value(_ name: String) -> [UInt8]? {
        guard let text = getenv(name) else { return nil }
        return Array(UnsafeRawBufferPointer(start: text, count: strlen(text)))
    }
}
