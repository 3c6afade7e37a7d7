import Glibc

/// A file that holds a token, a key, a configuration or the like.
package enum SmallFile {
    /// Bytes of a token; those of Kubernetes have one or two thousand.
    package static let tokenLimit = 64 << 10

    /// Why a file is of no use. It may be there later.
    package struct Failure: Error, Hashable, Sendable {
        /// What was to be read, from where, and what is wrong; nothing of the contents.
        package var message: String
        /// What is wrong with it, alone.
        package var reason: String
    }

    /// The contents, a line of plain text, without white space at either end.
    ///
    /// - Parameters:
    ///   - what: what the file holds, for messages.
    ///   - following: whether the last part of the path may be a symbolic link.
    package static func text(
        _ path: String, limit: Int, what: String, following: Bool = true
    ) throws(Failure) -> String {
        let isSpace = { (byte: UInt8) in byte == 0x20 || (0x09...0x0D).contains(byte) }
        var contents = try bytes(path, limit: limit, what: what, following: following)[...]
        while let first = contents.first, isSpace(first) { contents.removeFirst() }
        while let last = contents.last, isSpace(last) { contents.removeLast() }
        guard !contents.isEmpty else { throw failed(what, path, "it is empty") }
        guard contents.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) else {
            throw failed(what, path, "it is no line of plain text")
        }
        return String(decoding: contents, as: UTF8.self)
    }

    private static func failed(_ what: String, _ path: String, _ reason: String) -> Failure {
        Failure(message: "\(what) cannot be read from \(path): \(reason)", reason: reason)
    }

    /// The contents of a regular file.
    ///
    /// - Parameter takesPipes: whether it may be anything else that can be read too, such as a systemd credential or a
    ///   shell's `<(...)`; then whoever writes into it is waited for.
    package static func bytes(
        _ path: String, limit: Int, what: String, following: Bool = true, takesPipes: Bool = false
    ) throws(Failure) -> [UInt8] {
        func failed(_ reason: String) -> Failure { Self.failed(what, path, reason) }
        // Not waiting for somebody to write into what turns out to be a pipe.
        let waiting = takesPipes ? 0 : O_NONBLOCK
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | waiting | (following ? 0 : O_NOFOLLOW))
        guard descriptor >= 0 else { throw failed(String(cString: strerror(errno))) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, takesPipes || status.st_mode & S_IFMT == S_IFREG else {
            throw failed("it is no regular file")
        }
        guard status.st_size <= limit else { throw failed("it has more than \(limit) bytes") }
        var bytes = [UInt8](repeating: 0, count: limit + 1)
        var count = 0
        while count <= limit {
            let got = bytes.withUnsafeMutableBytes { buffer in
                buffer.baseAddress.map { read(descriptor, $0 + count, limit + 1 - count) } ?? 0
            }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw failed(String(cString: strerror(errno))) }
            if got == 0 { break }
            count += got
        }
        guard count <= limit else { throw failed("it has more than \(limit) bytes") }
        return Array(bytes[..<count])
    }

    package static func isWorldReadable(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IROTH != 0
    }
}
