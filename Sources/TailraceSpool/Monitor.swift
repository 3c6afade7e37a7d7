import CTailrace
import Glibc

/// A mutex with condition variables, which `Synchronization` does not have: the spool's threads block on it.
///
/// Times are those of the monotonic clock. Never held across a system call.
package final class Monitor: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>

    package init() {
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    package func lock() { pthread_mutex_lock(mutex) }
    package func unlock() { pthread_mutex_unlock(mutex) }

    package func withLock<T, E: Error>(_ body: () throws(E) -> T) throws(E) -> T {
        lock()
        defer { unlock() }
        return try body()
    }

    package final class Condition: @unchecked Sendable {
        private let monitor: Monitor
        private let condition: UnsafeMutablePointer<pthread_cond_t>

        package init(_ monitor: Monitor) {
            self.monitor = monitor
            condition = .allocate(capacity: 1)
            condition.initialize(to: pthread_cond_t())
            var attributes = pthread_condattr_t()
            pthread_condattr_init(&attributes)
            pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
            pthread_cond_init(condition, &attributes)
            pthread_condattr_destroy(&attributes)
        }

        deinit {
            pthread_cond_destroy(condition)
            condition.deallocate()
        }

        /// Waits with the monitor locked; may return without cause.
        package func wait() { pthread_cond_wait(condition, monitor.mutex) }

        /// As `wait()`, until `deadline` (nanoseconds of the monotonic clock) at most; nil waits without end.
        package func wait(until deadline: UInt64?) {
            guard let deadline else { return wait() }
            var time = timespec(tv_sec: Int(deadline / 1_000_000_000), tv_nsec: Int(deadline % 1_000_000_000))
            pthread_cond_timedwait(condition, monitor.mutex, &time)
        }

        package func signal() { pthread_cond_signal(condition) }
        package func broadcast() { pthread_cond_broadcast(condition) }
    }
}

/// Starts a joinable thread named `name` (15 bytes at most).
package func startThread(_ name: String, _ body: @escaping @Sendable () -> Void) -> pthread_t {
    var thread = pthread_t()
    let code = createThread(&thread, name, body)
    precondition(code == 0, "pthread_create: \(String(cString: strerror(code)))")
    return thread
}

/// As `startThread`, but nobody joins it. False when the system gives no thread.
func startDetachedThread(_ name: String, _ body: @escaping @Sendable () -> Void) -> Bool {
    var thread = pthread_t()
    guard createThread(&thread, name, body) == 0 else { return false }
    pthread_detach(thread)
    return true
}

private func createThread(_ thread: inout pthread_t, _ name: String, _ body: @escaping @Sendable () -> Void) -> CInt {
    final class Box {
        let body: @Sendable () -> Void
        let name: String
        init(_ body: @escaping @Sendable () -> Void, _ name: String) {
            self.body = body
            self.name = name
        }
    }
    let box = Unmanaged.passRetained(Box(body, name))
    let code = pthread_create(
        &thread, nil,
        { argument in
            let box = Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue()
            tailrace_name_thread(box.name)
            box.body()
            return nil
        }, box.toOpaque())
    if code != 0 { box.release() }
    return code
}
