package import Transports

/// What a client takes of the machine that it runs on, beside its event loops: a simulation gives it its own.
package struct ClientEnvironment: Sendable {
    /// See `Route.connector`.
    package var connector: Route.Connector?
    /// Where its tasks run; nil: on the usual threads.
    package var executor: (any TaskExecutor)?
    /// The clock of producers.
    package var instant: @Sendable () -> ContinuousClock.Instant = { .now }
    /// Since 1970, UTC: the time that consumers see.
    package var wallMilliseconds: @Sendable () -> UInt64 = { WallClock.milliseconds }
    /// 64 random bits, by which waits are spread.
    package var random: @Sendable () -> UInt64 = {
        var system = SystemRandomNumberGenerator()
        return system.next()
    }

    package init() {}

    var dice: Dice { Dice(source: random) }

    /// `random` for those who want a generator.
    struct Dice: RandomNumberGenerator, Sendable {
        fileprivate let source: @Sendable () -> UInt64

        func next() -> UInt64 { source() }
    }
}
