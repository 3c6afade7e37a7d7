/// Why the agent cannot run, or stopped: what, where, and what to do.
package struct AgentError: Error, Equatable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}
