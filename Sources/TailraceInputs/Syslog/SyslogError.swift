/// Why a socket cannot be listened on: what, where, what to do.
package struct SyslogError: Error, Equatable, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}
