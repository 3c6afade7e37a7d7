import Glibc

/// The time that consumers see.
package enum WallClock {
    /// Since 1970, UTC.
    package static var milliseconds: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(max(time.tv_sec, 0)) * 1000 + UInt64(time.tv_nsec) / 1_000_000
    }
}
