/// Which log a file name may be a rotation of: `app.log` becomes `app.log.1`, `app.log-20261121`,
/// `app.log.2026-11-21T10:00`, `app.1.log` or `app-20261121.log`. Compressed archives are not meant.
enum RotatedName {
    /// The names that a rotation may have made `name` of, the longest first; at most a few.
    static func originals(of name: String) -> [String] {
        var result = stems(of: name[...]).map(String.init)
        if let dot = name.lastIndex(of: "."), dot != name.startIndex {
            let suffix = name[dot...]
            if !isStamp(suffix), ![".gz", ".xz", ".bz2", ".zst", ".lz4", ".Z"].contains(suffix) {
                result += stems(of: name[..<dot]).map { String($0) + suffix }
            }
        }
        return result
    }

    /// Of two rotations of `original` made in one tick of the clock: whether `name` is the older one. Numbers count
    /// up with age, dates go the other way, and the log itself, whose name is shorter, is the youngest.
    static func isOlder(_ name: String, than other: String) -> Bool {
        if name.utf8.count != other.utf8.count { return name.utf8.count > other.utf8.count }
        let isNumbered = (name.utf8.reversed().prefix { (0x30...0x39).contains($0) }).count <= 3
        return isNumbered ? name > other : name < other
    }

    /// As above, for two rotations that were last written at these times (nanoseconds since 1970): those tell where names of two
    /// kinds do not, a number and a date.
    static func isOlder(
        _ name: String, written: Int64, than other: String, written otherWritten: Int64
    ) -> Bool {
        if written != otherWritten, !areOfOneKind(name, other) { return written < otherWritten }
        return isOlder(name, than: other)
    }

    private static func areOfOneKind(_ name: String, _ other: String) -> Bool {
        let (shorter, longer) = name.utf8.count < other.utf8.count ? (name, other) : (other, name)
        // Numbers have up to three digits.
        return longer.utf8.count - shorter.utf8.count <= 2 || originals(of: longer).contains(shorter)
    }

    /// What stands before a stamp at the end of `text`, for every separator at which one may begin.
    private static func stems(of text: Substring) -> [Substring] {
        var result: [Substring] = []
        for index in text.utf8.indices.reversed() where isSeparator(text.utf8[index]) && index != text.startIndex {
            guard isStamp(text[index...]) else { break }
            result.append(text[..<index])
            if result.count == 8 { break }
        }
        return result
    }

    private static func isSeparator(_ byte: UInt8) -> Bool { byte == 0x2E || byte == 0x2D || byte == 0x5F }

    /// A separator and then digits, with what dates put between them.
    private static func isStamp(_ text: Substring) -> Bool {
        guard let first = text.utf8.first, isSeparator(first) else { return false }
        let rest = text.utf8.dropFirst()
        return rest.contains { (0x30...0x39).contains($0) }
            && rest.allSatisfy { (0x30...0x39).contains($0) || isSeparator($0) || ":TZ+".utf8.contains($0) }
    }
}
