import Glibc
import LocalHub

/// Where the demo keeps its files: a new directory that goes with it, or one that the user wants to keep.
struct DemoDirectory {
    let path: String
    private let isKept: Bool

    /// - Parameter keep: made if missing; must be empty, so that nothing of the user's is mixed in.
    init(keep: String?) throws {
        if let keep {
            guard mkdir(keep, 0o700) == 0 || errno == EEXIST else {
                throw OwnProcess.Failure(description: "cannot make \(keep): \(String(cString: strerror(errno)))")
            }
            guard ScratchDirectory.entries(of: keep)?.isEmpty == true else {
                throw OwnProcess.Failure(
                    description: "\(keep) is not an empty directory; name one that is, or a new one")
            }
            guard let resolved = realpath(keep, nil) else {
                throw OwnProcess.Failure(description: "\(keep): \(String(cString: strerror(errno)))")
            }
            path = String(cString: resolved)
            free(resolved)
            isKept = true
            return
        }
        path = try ScratchDirectory.make("tailrace-demo")
        isKept = false
    }

    func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }

    func removeUnlessKept() { if !isKept { ScratchDirectory.remove(path) } }
}
