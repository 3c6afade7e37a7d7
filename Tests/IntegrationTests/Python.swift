import Glibc
import TestSupport
import Testing

/// Runs the scripts in `Python/` with the official client.
struct Python {
    struct Missing: Error, CustomStringConvertible {
        let description: String
    }

    struct Run {
        var exit: ChildProcess.Exit
        var output: String
        var errorOutput: String
    }

    let interpreter: String
    let scripts: String
    let directory = TemporaryDirectory("python")

    /// `TAILRACE_PYTHON`, or the interpreter of the virtual environment that `make test` makes.
    ///
    /// - Parameter environment: another than the usual one is only found where `make test` puts it.
    init(environment: String = "venv", file: String = #filePath) throws {
        var parts = file.split(separator: "/", omittingEmptySubsequences: false).dropLast()
        scripts = parts.joined(separator: "/") + "/Python"
        parts = parts.dropLast(2)
        let override = environment == "venv" ? getenv("TAILRACE_PYTHON").map { String(cString: $0) } : nil
        interpreter = override ?? parts.joined(separator: "/") + "/.build/\(environment)/bin/python"
        guard access(interpreter, X_OK) == 0 else {
            throw Missing(
                description: "no Python with the official clients at \(interpreter): run `make test`, which installs it"
            )
        }
    }

    func runAlone(_ script: String, _ arguments: [String], _ environment: [String: String] = [:]) async throws -> Run {
        try await run(["\(scripts)/\(script)"] + arguments, environment)
    }

    func run(_ arguments: [String], _ environment: [String: String] = [:]) async throws -> Run {
        let variables = environment.merging(["PYTHONDONTWRITEBYTECODE": "1"]) { $1 }
        let child = try ChildProcess(interpreter, arguments, environment: variables)
        // Off the pool: waiting blocks.
        let exit = await withCheckedContinuation { continuation in
            let thread = Waiter { continuation.resume(returning: child.wait()) }
            thread.start()
        }
        return Run(exit: exit, output: child.output, errorOutput: child.errorOutput)
    }

    // MARK: Base64

    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func base64(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let value = group.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - group.count))
            for i in 0..<4 {
                text.append(i <= group.count ? Self.alphabet[value >> (18 - 6 * i) & 63] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    static func decode(_ text: String) -> [UInt8] {
        var values = [UInt8](repeating: 0, count: 256)
        for (index, letter) in alphabet.enumerated() { values[Int(letter)] = UInt8(index) }
        var bytes: [UInt8] = []
        var value = 0
        var bits = 0
        for letter in text.utf8 where letter != UInt8(ascii: "=") {
            value = (value << 6 | Int(values[Int(letter)])) & 0xFFFFFF
            bits += 6
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: value >> bits))
            }
        }
        return bytes
    }
}

/// A thread of its own for something that blocks.
private final class Waiter: @unchecked Sendable {
    private let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }

    func start() {
        var thread = pthread_t()
        let box = Unmanaged.passRetained(self)
        pthread_create(
            &thread, nil,
            { pointer in
                guard let pointer else { return nil }
                Unmanaged<Waiter>.fromOpaque(pointer).takeRetainedValue().body()
                return nil
            }, box.toOpaque())
        pthread_detach(thread)
    }
}
