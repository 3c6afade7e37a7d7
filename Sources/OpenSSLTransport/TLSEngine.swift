import COpenSSL
import Glibc
internal import NIOCore

/// One TLS session over lent memory: ciphertext goes in and comes out as `ByteBuffer`s, without a socket.
///
/// Not thread-safe; owned by one handler.
final class TLSEngine {
    enum Outcome: Equatable {
        case done
        /// Everything received so far has been used.
        case needsInput
        case closedByPeer
        case failed(String)
    }

    /// The most plaintext that one TLS record holds.
    static let recordSize = 16 * 1024
    /// Room for one record of that size in any cipher and version.
    private static let sealedRecordSize = recordSize + sealing
    /// What a record may be longer than its plaintext (RFC 8446, section 5.2; RFC 5246, section 6.2.3, allows 2,048, which
    /// no cipher of today comes near).
    private static let sealing = 256
    /// Room for so many bytes of plaintext in records.
    private static func sealedSize(_ count: Int) -> Int { count + (count / recordSize + 1) * sealing }

    private(set) var handshakeIsDone = false

    private let ssl: OpaquePointer
    private let memory: UnsafeMutablePointer<tailrace_bio_memory>

    /// Ciphertext for the peer. Two buffers take turns, so that the storage is used again once the channel has
    /// written it; a buffer still in the channel's hands is left to it.
    private var output = ByteBuffer()
    private var otherOutput = ByteBuffer()
    /// The content of `output` has been taken; the storage may still be in use.
    private var outputIsTaken = true
    private var outputCapacity = 0

    private var plaintext = ByteBuffer()

    private nonisolated(unsafe) static let method: OpaquePointer = {
        guard let method = tailrace_bio_method() else { fatalError("out of memory") }
        return method
    }()

    /// - Parameter serverName: a DNS name or an IP address, which the server's certificate must bear; nil on the
    ///   server side.
    init(context: TLSContext, serverName: String?) throws(TLSError) {
        ERR_clear_error()
        guard let ssl = SSL_new(context.pointer) else {
            throw .configuration("cannot start a TLS session: \(OpenSSLError.takeQueue())")
        }
        self.ssl = ssl
        // The context may be somebody else's.
        tailrace_SSL_set_defaults(ssl)
        memory = .allocate(capacity: 1)
        memory.initialize(to: tailrace_bio_memory())
        guard tailrace_SSL_set_memory(ssl, Self.method, memory) == 1 else {
            throw .configuration("cannot start a TLS session: \(OpenSSLError.takeQueue())")
        }
        switch context.side {
        case .server:
            SSL_set_accept_state(ssl)
        case .client:
            SSL_set_connect_state(ssl)
            guard let serverName else { throw .configuration("a TLS client needs the name of its server") }
            try expect(serverName, inCertificate: context.checksName)
        }
    }

    deinit {
        SSL_free(ssl)
        memory.deallocate()
    }

    /// Has OpenSSL check the server's certificate for `name`, and tells the server that name (SNI, DNS names alone).
    private func expect(_ name: String, inCertificate isChecked: Bool) throws(TLSError) {
        // A trailing dot makes a name absolute for the resolver; certificates do not have it.
        let name = name.hasSuffix(".") ? String(name.dropLast()) : name
        guard !name.isEmpty, !name.utf8.contains(0) else {
            throw .configuration("\"\(name)\" is no server name that a certificate could bear")
        }
        if Self.isAddress(name) {
            guard isChecked else { return }
            guard X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1 else {
                throw .configuration("OpenSSL refuses server address \(name): \(OpenSSLError.takeQueue())")
            }
        } else {
            SSL_set_hostflags(ssl, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
            guard !isChecked || SSL_set1_host(ssl, name) == 1, tailrace_SSL_set_tlsext_host_name(ssl, name) == 1 else {
                throw .configuration("OpenSSL refuses server name \(name): \(OpenSSLError.takeQueue())")
            }
        }
    }

    private static func isAddress(_ name: String) -> Bool {
        var address = in6_addr()
        return inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1
    }

    // MARK: - The session

    /// Starts or continues the handshake.
    func handshake() -> Outcome {
        let (_, outcome) = perform(reserving: 4096) { SSL_do_handshake($0) }
        if outcome == .done { handshakeIsDone = true }
        return outcome
    }

    /// Uses all of `ciphertext`, continuing the handshake as far as needed, and appends what it decrypts to
    /// `plaintexts` (one buffer, rarely two). Never `.done`.
    func receive(_ ciphertext: ByteBuffer, into plaintexts: inout [ByteBuffer]) -> Outcome {
        ciphertext.withUnsafeReadableBytes { input in
            memory.pointee.input = input.bindMemory(to: UInt8.self).baseAddress
            memory.pointee.input_length = input.count
            defer {
                memory.pointee.input = nil
                memory.pointee.input_length = 0
            }
            if !handshakeIsDone {
                let outcome = handshake()
                guard outcome == .done else { return outcome }
            }
            return read(into: &plaintexts, expecting: input.count)
        }
    }

    private func read(into plaintexts: inout [ByteBuffer], expecting count: Int) -> Outcome {
        // A record that began in an earlier read adds up to one record to what this read can decrypt to.
        plaintext.clear(minimumCapacity: count + Self.recordSize)
        defer {
            if plaintext.readableBytes > 0 { plaintexts.append(plaintext) }
        }
        while true {
            if plaintext.writableBytes == 0 {
                plaintexts.append(plaintext)
                plaintext = ByteBuffer()
                plaintext.reserveCapacity(Self.recordSize)
            }
            let (_, outcome) = perform(reserving: 0) { ssl in
                var result: Int32 = 0
                plaintext.writeWithUnsafeMutableBytes(minimumWritableBytes: 1) { room in
                    result = SSL_read(ssl, room.baseAddress, Int32(clamping: room.count))
                    return max(0, Int(result))
                }
                return result
            }
            guard outcome == .done else { return outcome }
        }
    }

    /// Encrypts bytes into records of the output, all of them full but the last.
    ///
    /// - Parameter expected: bytes that will be encrypted before the output is taken; sizes the output's storage.
    func encrypt(_ bytes: UnsafeRawBufferPointer, expecting expected: Int) -> Outcome {
        precondition(handshakeIsDone)
        guard bytes.count > 0 else { return .done }
        if outputIsTaken { outputCapacity = max(Self.sealedRecordSize, Self.sealedSize(expected)) }
        // With this much room the records are written in one go, so the result is all or an error.
        let (_, outcome) = perform(reserving: Self.sealedSize(bytes.count)) {
            SSL_write($0, bytes.baseAddress, Int32(clamping: bytes.count))
        }
        return outcome == .needsInput ? .failed("a write waits for the peer, which no TLS version allows") : outcome
    }

    /// Puts our `close_notify` into the output. Only for a session that has not failed.
    func sayGoodbye() {
        guard handshakeIsDone else { return }
        _ = perform(reserving: 256) { SSL_shutdown($0) }
    }

    // MARK: - Output

    var outputLength: Int { outputIsTaken ? 0 : output.readableBytes }

    func takeOutput() -> ByteBuffer {
        let taken = output
        swap(&output, &otherOutput)
        outputIsTaken = true
        outputCapacity = 0
        return taken
    }

    /// Calls OpenSSL with `reserving` bytes of room for output, and again with more for as long as that is too little
    /// (each repetition has written all that there was room for, so this ends).
    private func perform(reserving: Int, _ call: (OpaquePointer) -> Int32) -> (result: Int32, Outcome) {
        var reserve = reserving
        while true {
            ERR_clear_error()
            var result: Int32 = 0
            var code = SSL_ERROR_NONE
            if reserve == 0 {
                // Reading writes next to never, so it does not touch the output's storage before it must.
                memory.pointee.output_length = 0
                memory.pointee.output_capacity = 0
                result = call(ssl)
                if result <= 0 { code = SSL_get_error(ssl, result) }
            } else {
                if outputIsTaken {
                    output.clear(minimumCapacity: max(reserve, outputCapacity))
                    outputIsTaken = false
                }
                output.writeWithUnsafeMutableBytes(minimumWritableBytes: reserve) { room in
                    memory.pointee.output = room.bindMemory(to: UInt8.self).baseAddress
                    memory.pointee.output_length = 0
                    memory.pointee.output_capacity = room.count
                    result = call(ssl)
                    if result <= 0 { code = SSL_get_error(ssl, result) }
                    return memory.pointee.output_length
                }
                memory.pointee.output = nil
                memory.pointee.output_length = 0
                memory.pointee.output_capacity = 0
            }
            switch code {
            case SSL_ERROR_NONE: return (result, .done)
            case SSL_ERROR_WANT_READ: return (result, .needsInput)
            case SSL_ERROR_ZERO_RETURN: return (result, .closedByPeer)
            case SSL_ERROR_WANT_WRITE: reserve = Self.sealedRecordSize
            default: return (result, .failed(failureText()))
            }
        }
    }

    private func failureText() -> String {
        var text = OpenSSLError.takeQueue()
        if text.isEmpty { text = "OpenSSL gives no reason" }
        let verification = SSL_get_verify_result(ssl)
        if verification != Int(X509_V_OK), let words = X509_verify_cert_error_string(verification) {
            text += ": \(String(cString: words)) (verify error \(verification))"
        }
        return text
    }

    /// What the handshake agreed on.
    var session: TLSSession {
        var session = TLSSession(
            version: String(cString: SSL_get_version(ssl)),
            cipher: SSL_get_current_cipher(ssl).map { String(cString: SSL_CIPHER_get_name($0)) } ?? "none")
        session.serverName = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name).map { String(cString: $0) }
        if let certificate = SSL_get1_peer_certificate(ssl) {
            defer { X509_free(certificate) }
            session.peerSubject = Self.text(X509_get_subject_name(certificate))
            session.peerIssuer = Self.text(X509_get_issuer_name(certificate))
            if let from = Self.seconds(X509_get0_notBefore(certificate)),
                let to = Self.seconds(X509_get0_notAfter(certificate)), from <= to
            {
                session.peerValidity = from...to
            }
        }
        return session
    }

    private static func text(_ name: OpaquePointer?) -> String? {
        var text = [CChar](repeating: 0, count: 512)
        X509_NAME_oneline(name, &text, Int32(text.count))
        return text.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } }
    }

    /// Since 1970.
    private static func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int64? {
        var parts = tm()
        guard ASN1_TIME_to_tm(time, &parts) == 1 else { return nil }
        return Int64(timegm(&parts))
    }
}
