import Glibc

/// What the service manager passed to this process (`sd_listen_fds(3)`): descriptors from 3 on, each with a name.
package struct PassedSockets: Sendable {
    private let names: [String]
    private let first: CInt

    /// - Parameter process: the one that they are meant for must be this one.
    package init(
        environment: (String) -> String?, process: Int32 = getpid(), first: CInt = 3
    ) {
        self.first = first
        guard environment("LISTEN_PID").flatMap({ Int32($0) }) == process,
            let count = environment("LISTEN_FDS").flatMap({ Int($0) }), (1...1024).contains(count)
        else {
            names = []
            return
        }
        let given = environment("LISTEN_FDNAMES")?.split(separator: ":", omittingEmptySubsequences: false) ?? []
        names = (0..<count).map { $0 < given.count && !given[$0].isEmpty ? String(given[$0]) : "unknown" }
    }

    package static let ofThisProcess = PassedSockets(environment: { getenv($0).map { String(cString: $0) } })

    package var isEmpty: Bool { names.isEmpty }

    func descriptors(named name: String) -> [CInt] {
        names.indices.filter { names[$0] == name }.map { first + CInt($0) }
    }

    /// For messages.
    var list: String { names.isEmpty ? "none" : names.joined(separator: ", ") }
}
