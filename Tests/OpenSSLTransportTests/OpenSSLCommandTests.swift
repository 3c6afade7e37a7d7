import Glibc
import NIOCore
import OpenSSLTransport
import TestSupport
import Testing

/// A peer that is not ours: the `openssl` command.
@Suite struct OpenSSLCommandTests {
    @Test func theClientCommandTalksToOurServer() async throws {
        let loopback = try Loopback()
        let (port, accepted, listener) = try await loopback.listen(loopback.server()) { channel, bytes in
            channel.write(bytes, promise: nil)
            channel.flush()
            channel.close(promise: nil)
        }
        let command = try Command([
            "openssl", "s_client", "-connect", "127.0.0.1:\(port)", "-servername", "hub.test", "-verify_hostname",
            "hub.test", "-CAfile", loopback.directory("ca.pem"), "-verify_return_error", "-quiet",
        ])
        command.write("one line\n")
        let (status, output) = command.finish()
        #expect(status == 0)
        #expect(output.contains("one line\n"), "\(output)")
        let report = try await accepted.get().recorder.end.get()
        #expect(report.bytes == Array("one line\n".utf8))
        #expect(report.sessions.map(\.serverName) == ["hub.test"])
        #expect(report.errors == [])
        try await listener.close().get()
    }

    @Test func ourClientTalksToTheServerCommand() async throws {
        let loopback = try Loopback()
        let files = try loopback.files(loopback.authority.issue(names: ["hub.test"]))
        let command = try Command([
            "openssl", "s_server", "-accept", "127.0.0.1:0", "-naccept", "1", "-cert", files.certificateChain, "-key",
            files.privateKey, "-rev",
        ])
        let port = try #require(command.port())
        let (client, handshake) = try await loopback.connect(
            .client(trust: loopback.trust), "hub.test", port: port, expecting: 6)
        #expect(try await handshake.get().version == "TLSv1.3")
        client.write(Array("hello\n".utf8))
        #expect(try await client.recorder.received.get() == Array("olleh\n".utf8))
        try await client.channel.close().get()
        _ = command.finish()
    }

    @Test func aPeerThatOnlySpeaksTLS11IsRefused() async throws {
        let loopback = try Loopback()
        let (port, accepted, listener) = try await loopback.listen(loopback.server())
        let old = try Command([
            "openssl", "s_client", "-connect", "127.0.0.1:\(port)", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", "-quiet",
        ])
        let errors = try await accepted.get().recorder.end.get().errors
        #expect(errors.joined().contains("unsupported protocol"), "\(errors)")
        #expect(old.finish().status != 0)
        try await listener.close().get()

        let files = try loopback.files(loopback.authority.issue(names: ["hub.test"]))
        let oldServer = try Command([
            "openssl", "s_server", "-accept", "127.0.0.1:0", "-naccept", "1", "-cert", files.certificateChain, "-key",
            files.privateKey, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0",
        ])
        let oldPort = try #require(oldServer.port())
        let (client, handshake) = try await loopback.connect(
            .client(trust: loopback.trust), "hub.test", port: oldPort)
        await #expect(throws: TLSError.self) { try await handshake.get() }
        let heard = try await client.recorder.end.get().errors.joined()
        #expect(heard.contains("version"), "\(heard)")
        _ = oldServer.finish()
    }
}

/// A child process with pipes; ended with the last reference.
private final class Command {
    private var process: pid_t = 0
    private var input: Int32 = -1
    private var output: Int32 = -1
    private var collected: [UInt8] = []

    struct Failed: Error { var reason: String }

    init(_ arguments: [String]) throws {
        var inputPipe: [Int32] = [0, 0]
        var outputPipe: [Int32] = [0, 0]
        guard pipe(&inputPipe) == 0, pipe(&outputPipe) == 0 else { throw Failed(reason: "pipe") }
        for descriptor in [inputPipe[1], outputPipe[0]] { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, inputPipe[0], 0)
        posix_spawn_file_actions_adddup2(&actions, outputPipe[1], 1)
        posix_spawn_file_actions_adddup2(&actions, outputPipe[1], 2)
        for descriptor in inputPipe + outputPipe where descriptor > 2 {
            posix_spawn_file_actions_addclose(&actions, descriptor)
        }
        var words = arguments.map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        let result = posix_spawnp(&process, arguments[0], &actions, nil, &words, environ)
        close(inputPipe[0])
        close(outputPipe[1])
        input = inputPipe[1]
        output = outputPipe[0]
        guard result == 0 else { throw Failed(reason: "\(arguments[0]): \(String(cString: strerror(result)))") }
    }

    deinit {
        if process > 0 {
            kill(process, SIGKILL)
            waitpid(process, nil, 0)
        }
        if input >= 0 { close(input) }
        if output >= 0 { close(output) }
    }

    func write(_ text: String) { _ = Glibc.write(input, text, text.utf8.count) }

    /// What `s_server -accept host:0` prints when it listens.
    func port() -> Int? {
        while true {
            let text = String(decoding: collected, as: UTF8.self)
            for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
            where line.hasPrefix("ACCEPT ") {
                return line.split(separator: ":").last.flatMap { Int($0) }
            }
            guard readMore() else { return nil }
        }
    }

    private func readMore() -> Bool {
        var piece = [UInt8](repeating: 0, count: 4096)
        let count = read(output, &piece, piece.count)
        if count > 0 { collected += piece.prefix(count) }
        return count > 0
    }

    func finish() -> (status: Int32, output: String) {
        while readMore() {}
        var status: Int32 = 0
        waitpid(process, &status, 0)
        process = 0
        return (status & 0x7F == 0 ? status >> 8 & 0xFF : -1, String(decoding: collected, as: UTF8.self))
    }
}
