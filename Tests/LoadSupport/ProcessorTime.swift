import Glibc

/// What the calling thread takes of a processor.
package enum ProcessorTime {
    /// Of the calling thread since it began.
    package static func seconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
