import Glibc
internal import TailraceSpool

/// Whether the disk has room for what the spool may become.
enum SpaceCheck {
    /// - Parameter spool: nil: there is none yet, or it cannot be read.
    static func run(_ configuration: AgentConfiguration, _ spool: StoredSpool?, _ findings: Findings) {
        var path = configuration.stateDirectory
        while access(path, F_OK) != 0, let slash = path.lastIndex(of: "/") {
            path = slash == path.startIndex ? "/" : String(path[..<slash])
        }
        var status = statvfs()
        guard statvfs(path, &status) == 0 else {
            return findings.warning(
                "disk", path, "its room cannot be told: \(SystemError.describe(errno))", remedy: "look with df")
        }
        let unit = UInt64(status.f_frsize)
        let space = DiskSpace(total: UInt64(status.f_blocks) * unit, free: UInt64(status.f_bavail) * unit)
        let used = spool?.segments.reduce(0) { $0 + UInt64($1.bytes) } ?? 0
        tell(space, at: path, used: used, configuration.spool, findings)
    }

    /// - Parameter used: bytes of the spool's segments.
    static func tell(
        _ space: DiskSpace, at path: String, used: UInt64, _ settings: SpoolSettings, _ findings: Findings
    ) {
        let reserve = space.reserve(settings.minimumFree)
        let wanted = settings.maximumSize > used ? settings.maximumSize - used : 0
        let free = Quantity.describe(bytes: space.free)
        let left = "and the spool leaves \(Quantity.describe(bytes: reserve)) to others (minimum_free)"
        if space.free <= reserve {
            findings.error(
                "disk", path, "\(free) free, \(left): the spool cannot grow, and inputs wait",
                remedy: "free some space on this file system, or have another state_directory")
        } else if space.free - reserve < wanted {
            findings.warning(
                "disk", path,
                "\(free) free, \(left): the spool may want \(Quantity.describe(bytes: wanted)) more (maximum_size)",
                remedy: "free some space, or lower [spool] maximum_size")
        } else {
            findings.ok(
                "disk", path, "\(free) free, the spool wants \(Quantity.describe(bytes: wanted)) more at most")
        }
    }
}
