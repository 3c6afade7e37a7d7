import Glibc
import TailraceSpool

/// A thread that can be waited for.
package final class WorldThread {
    private let thread: pthread_t

    package init(_ body: @escaping @Sendable () -> Void) { thread = startThread("worlds", body) }

    package func join() { pthread_join(thread, nil) }
}
