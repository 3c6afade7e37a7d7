import Glibc

/// A program of the system that changes it: these tests run as root.
enum SystemCommand {
    static func run(_ program: String, _ arguments: String..., allowing codes: [CInt] = [0]) throws {
        let child = try ChildProcess(program, arguments)
        guard case .code(let code) = child.wait(), codes.contains(code) else {
            throw ChildProcess.Failure("\(program) \(arguments): \(child.errorOutput) (these tests run as root)")
        }
    }

    /// Writes a word to a file of the kernel's.
    static func write(_ word: String, to path: String) throws {
        let descriptor = open(path, O_WRONLY)
        defer { close(descriptor) }
        guard Glibc.write(descriptor, word, word.utf8.count) == word.utf8.count else {
            throw ChildProcess.Failure("\(path): errno \(errno) (these tests run as root)")
        }
    }
}
