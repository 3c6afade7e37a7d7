/// The configuration in force, and what became of the attempts to load others.
package struct ReloadHistory: Equatable, Sendable {
    /// Where it is read from.
    package var file = ""
    /// Milliseconds since 1970 of the last time that it was loaded: at the start, or by a reload that went well.
    package var loaded: Int64
    /// Reloads that went well, and that did not, since the start.
    package var reloads: UInt64 = 0
    package var failures: UInt64 = 0
    /// What was wrong the last time, one line for each thing; nil when that went well.
    package var failure: String?
    /// Milliseconds since 1970.
    package var failureTime: Int64?
    /// What the configuration says otherwise than what is in force, until the agent is started anew.
    package var needsRestart: [String] = []

    package init(loaded: Int64 = 0) { self.loaded = loaded }

    mutating func noteSuccess(at time: Int64, needsRestart: [String]) {
        loaded = time
        reloads += 1
        failure = nil
        failureTime = nil
        self.needsRestart = needsRestart
    }

    mutating func noteFailure(_ text: String, at time: Int64) {
        failures += 1
        failure = text
        failureTime = time
    }
}
