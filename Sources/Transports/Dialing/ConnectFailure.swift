import Glibc
internal import NIOCore
internal import NIOPosix

/// Says in plain words why a TCP connection could not be made.
package enum ConnectFailure {
    package static func text(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            if let single = error.connectionErrors.first {
                // All addresses of a name usually fail alike.
                let others = error.connectionErrors.count - 1
                return "\(single.target.ipAddress ?? "\(single.target)"): \(text(single.error))"
                    + (others > 0 ? " (and \(others) more addresses)" : "")
            }
            return "the name \(error.host) cannot be resolved; check it, and this machine's DNS"
        case let error as IOError: return String(cString: strerror(error.errnoCode))
        case ChannelError.connectTimeout(let time): return "no answer within \(time.text)"
        default: return "\(error)"
        }
    }
}
