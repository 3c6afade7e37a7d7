import Glibc
import OpenSSLTransport
import TestSupport

/// `Python/server.py`: a peer made of Qpid Proton, on a free port.
final class ProtonServer: Sendable {
    static let interpreter = "/usr/bin/python3"

    let child: ChildProcess
    let port: Int
    /// PEM file with the authority of its certificate; nil: without TLS.
    let authority: String?
    private let directory = TemporaryDirectory("proton")

    init(_ arguments: [String] = [], tls: Bool = false) async throws {
        var arguments = arguments
        if tls {
            let certificates = try Certificates(in: directory)
            arguments += ["--certificate", certificates.files.certificateChain, certificates.files.privateKey]
            authority = certificates.authority
        } else {
            authority = nil
        }
        child = try Self.script("server.py", arguments)
        let line = try await Self.line("port ", of: child)
        guard let port = Int(line.dropFirst(5)) else { throw ChildProcess.Failure("server.py says \(line)") }
        self.port = port
    }

    static func script(_ name: String, _ arguments: [String], file: String = #filePath) throws -> ChildProcess {
        let directory = file.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        return try ChildProcess(
            interpreter, ["\(directory)/Python/\(name)"] + arguments, environment: ["PYTHONDONTWRITEBYTECODE": "1"])
    }

    /// Waits for a line with this beginning.
    func line(_ beginning: String) async throws -> String { try await Self.line(beginning, of: child) }

    /// What it has printed, line by line, but for the port.
    var lines: [String] { child.output.split(separator: "\n").dropFirst().map(String.init) }

    static func line(_ beginning: String, of child: ChildProcess) async throws -> String {
        while true {
            // Looked up before the output is read, so that a child that printed and ended is not taken for a mute one.
            let isOver = ended(child)
            let whole = child.output.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
            if let line = whole.first(where: { $0.hasPrefix(beginning) }) { return String(line) }
            guard !isOver else {
                throw ChildProcess.Failure("no line \"\(beginning)\": \(child.output) \(child.errorOutput)")
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    static func ended(_ child: ChildProcess) -> Bool {
        var info = siginfo_t()
        let code = waitid(P_PID, id_t(child.identifier), &info, WEXITED | WNOHANG | WNOWAIT)
        return code != 0 || info.si_signo == SIGCHLD
    }
}

/// An authority and a server certificate for this machine, in files.
struct Certificates {
    let authority: String
    let files: TLSIdentityFiles

    init(in directory: TemporaryDirectory) throws {
        let maker = try ThrowAwayAuthority()
        files = TLSIdentityFiles(certificateChain: directory("server.pem"), privateKey: directory("server.key"))
        try maker.issue(names: ["localhost", "127.0.0.1"]).write(to: files)
        authority = directory("ca.pem")
        try maker.writeCertificate(to: authority)
    }
}
