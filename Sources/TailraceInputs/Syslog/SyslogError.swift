/// Why a socket cannot be listened on: what, where, what to do.
package struct SyslogError: Error, Equatable, CustomStringConvertible {
    package let description: String
    /// Something else listens there.
    package let isTaken: Bool

    init(_ description: String, isTaken: Bool = false) {
        self.description = description
        self.isTaken = isTaken
    }
}
