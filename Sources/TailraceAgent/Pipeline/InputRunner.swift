package import Logging
internal import ServiceLifecycle
import Synchronization
package import TailraceInputs

/// An input on its thread, from start to stop.
package final class InputRunner: Service, CustomStringConvertible {
    /// At a stop, the thread gets this long; then whatever holds it back is closed.
    static let stopMilliseconds = 2000

    private let input: any RunningInput
    private let release: @Sendable () -> Void
    private let logger: Logger
    private let life = ThreadLife()

    /// - Parameter release: closes what the thread may wait for (a full spool), so that it ends.
    package init(_ input: any RunningInput, logger: Logger, release: @escaping @Sendable () -> Void) {
        self.input = input
        self.logger = logger
        self.release = release
    }

    package var description: String { input.description }

    package func run() async throws {
        let (input, life) = (input, life)
        life.start("input") { input.run() }
        await withTaskCancellationOrGracefulShutdownHandler {
            await life.waitForEnd()
        } onCancelOrGracefulShutdown: { [release, logger] in
            life.isStopping.store(true, ordering: .relaxed)
            input.stop()
            // A thread, not a task: nothing must stand between a stop and its deadline.
            _ = DedicatedThread.start("stop") {
                guard !life.hasEnded(withinMilliseconds: Self.stopMilliseconds) else { return }
                logger.warning(
                    "the \(input.description) are held back by the spool; what they have not written is read again")
                release()
            }
        }
        guard life.isStopping.load(ordering: .relaxed) else {
            throw AgentError("the \(input.description) ended by themselves; look at the messages before this one")
        }
    }
}
