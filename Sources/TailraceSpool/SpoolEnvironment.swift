/// What a spool and a ledger live in.
package struct SpoolEnvironment: Sendable {
    package var disk: any Disk
    package var clocks: Clocks
    /// They have threads of their own. Without, nothing happens but in `step`, and in calls that wait: those do what the
    /// thread would do, as far as that is possible without time going by. For simulations, on one thread alone.
    package var hasThreads: Bool

    package init(disk: any Disk = SystemDisk(), clocks: Clocks = .system, hasThreads: Bool = true) {
        self.disk = disk
        self.clocks = clocks
        self.hasThreads = hasThreads
    }
}

/// What comes after one step of something that is driven: by its thread, or by a simulation.
package enum StepResult<Time: Sendable>: Sendable {
    /// There is more to do.
    case again
    /// Nothing before this time (nil: no time at all), unless something happens.
    case wait(until: Time?)
    case ended
}
