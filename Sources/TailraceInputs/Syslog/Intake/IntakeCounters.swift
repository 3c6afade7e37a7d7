import Synchronization

/// What happened to messages on their way in, counted where it happens. All since the start.
final class IntakeCounters: Sendable {
    /// Messages handed to us, by the kernel or by a stream.
    let received = Atomic<UInt64>(0)
    /// Datagrams that did not fit in a socket's receive buffer.
    let kernelLosses = Atomic<UInt64>(0)
    /// Datagrams for which `buffer` had no room while the spool did not take any.
    let memoryLosses = Atomic<UInt64>(0)
    /// Messages that were still here when the spool closed.
    let stopLosses = Atomic<UInt64>(0)
    /// Records of our own that tell of losses, and that the spool took.
    let notices = Atomic<UInt64>(0)
    /// Connections that were closed because what they sent has no frames, or that were one too many.
    let refusedConnections = Atomic<UInt64>(0)
    let brokenFrames = Atomic<UInt64>(0)
    let connections = Atomic<Int>(0)
    /// Messages of peers that are trusted to name the host.
    let trusted = Atomic<UInt64>(0)
}
