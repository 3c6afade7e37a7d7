import Glibc

/// What the file system says of a path, and whether this process may read what is there.
package struct PathFacts: Equatable, Sendable {
    package enum Kind: String, Equatable, Sendable {
        case file = "regular file"
        case directory
        case pipe = "named pipe"
        case socket
        case device
        /// A link that leads nowhere.
        case danglingLink = "link that leads nowhere"
        case missing = "nothing"
        /// A directory above it cannot be entered.
        case unreachable
    }

    package var kind: Kind
    /// Where a link leads.
    package var linkTarget: String?
    package var device: UInt64 = 0
    package var inode: UInt64 = 0
    /// Nanoseconds since 1970; 0 where the file system keeps none.
    package var birth: Int64 = 0
    /// Bytes.
    package var size: UInt64 = 0
    /// What this process lacks to read it, in words; nil when nothing.
    package var missingRight: String?

    package init(path: String) {
        kind = .missing
        guard let own = FileStatus(path: path, follow: false) else {
            if errno == EACCES {
                kind = .unreachable
                missingRight = Self.missingRight(path: path, may: Self.hasRight)
            }
            return
        }
        var status = own
        if own.isLink {
            linkTarget = Self.target(of: path)
            guard let target = FileStatus(path: path) else {
                kind = errno == EACCES ? .unreachable : .danglingLink
                return
            }
            status = target
        }
        kind =
            switch status.mode & UInt32(S_IFMT) {
            case UInt32(S_IFREG): .file
            case UInt32(S_IFDIR): .directory
            case UInt32(S_IFIFO): .pipe
            case UInt32(S_IFSOCK): .socket
            default: .device
            }
        device = status.identity.device
        inode = status.identity.inode
        birth = status.identity.birth
        size = status.size
        missingRight = Self.missingRight(path: path, may: Self.hasRight)
    }

    private static func hasRight(_ path: String, _ right: Int32) -> Bool {
        path.withSystemPath { access($0, right) } == 0
    }

    var identity: FileIdentity { FileIdentity(device: device, inode: inode, birth: birth) }

    private static func target(of path: String) -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(PATH_MAX)) { buffer in
            guard let base = buffer.baseAddress else { return nil }
            let count = path.withSystemPath { readlink($0, base, buffer.count) }
            return count < 0 ? nil : FileName.text(UnsafeRawBufferPointer(start: base, count: count))
        }
    }

    /// The first component from the left that keeps a process from reading the file at `path`.
    ///
    /// - Parameter may: whether the right (`X_OK`, `R_OK`) is there.
    static func missingRight(path: String, may: (_ path: String, _ right: Int32) -> Bool) -> String? {
        var directory = ""
        for name in path.split(separator: "/").dropLast() {
            directory += "/" + name
            if !may(directory, X_OK) { return "no right to enter \(directory): give the agent's user x on it" }
        }
        return may(path, R_OK) ? nil : "no right to read it: give the agent's user r on it, or its group"
    }
}
