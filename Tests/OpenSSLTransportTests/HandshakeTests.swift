import Glibc
import NIOCore
import OpenSSLTransport
import TestSupport
import Testing

@Suite struct HandshakeTests {
    @Test(arguments: [(TLSVersion.tls12, "TLSv1.2"), (.tls13, "TLSv1.3")])
    func bothVersionsWorkAndTheServerSeesTheName(version: TLSVersion, name: String) async throws {
        let loopback = try Loopback()
        let (port, accepted, listener) = try await loopback.listen(loopback.server())
        let (client, handshake) = try await loopback.connect(
            .client(trust: loopback.trust, versions: (.tls12, version)), "hub.test", port: port)
        let session = try await handshake.get()
        #expect(session.version == name)
        #expect(session.peerSubject == "/CN=hub.test")
        try await client.channel.close().get()
        let report = try await accepted.get().recorder.end.get()
        #expect(report.sessions.map(\.version) == [name])
        #expect(report.sessions.map(\.serverName) == ["hub.test"])
        #expect(report.errors == [])
        #expect(report.closedByPeer == 1)
        try await listener.close().get()
    }

    @Test func anAddressIsCheckedAsAnAddress() async throws {
        let loopback = try Loopback()
        let (port, accepted, listener) = try await loopback.listen(loopback.server(["127.0.0.1", "::1"]))
        for name in ["127.0.0.1", "::1"] {
            let (client, handshake) = try await loopback.connect(
                .client(trust: loopback.trust), name, port: port)
            #expect(try await handshake.get().serverName == nil)
            try await client.channel.close().get()
        }
        #expect(try await accepted.get().recorder.end.get().errors == [])
        let (_, handshake) = try await loopback.connect(.client(trust: loopback.trust), "127.0.0.2", port: port)
        let error = try await failure(of: handshake)
        #expect(error.contains("IP address mismatch"), "\(error)")
        try await listener.close().get()
    }

    @Test func anAddressInTheCertificateDoesNotExcuseAWrongName() async throws {
        let loopback = try Loopback()
        let (port, _, listener) = try await loopback.listen(loopback.server(["127.0.0.1", "hub.test"]))
        let (_, handshake) = try await loopback.connect(.client(trust: loopback.trust), "wrong.test", port: port)
        let error = try await failure(of: handshake)
        #expect(error.contains("hostname mismatch"), "\(error)")
        try await listener.close().get()
    }

    @Test func wildcardsStandForOneWholeLabel() async throws {
        let loopback = try Loopback()
        let (port, _, listener) = try await loopback.listen(loopback.server(["*.hub.test"]))
        for (name, good) in [
            ("a.hub.test", true), ("a.hub.test.", true), ("a.b.hub.test", false), ("hub.test", false),
        ] {
            let (client, handshake) = try await loopback.connect(.client(trust: loopback.trust), name, port: port)
            let error = try await failure(of: handshake)
            #expect(error.isEmpty == good, "\(name): \(error)")
            try? await client.channel.close().get()
        }
        try await listener.close().get()
    }

    /// The client says why in OpenSSL's words; the server hears it as an alert.
    @Test(arguments: [
        ("wrong name", "hostname mismatch", "bad certificate"),
        ("expired", "certificate has expired", "expired"),
        ("not yet valid", "certificate is not yet valid", "bad certificate"),
        ("self-signed", "self-signed certificate", "unknown ca"),
        ("unknown authority", "self-signed certificate in certificate chain", "unknown ca"),
        ("authority kept secret", "unable to get local issuer certificate", "unknown ca"),
    ])
    func aBadCertificateIsRefused(kind: String, words: String, alert: String) async throws {
        let loopback = try Loopback()
        let identity =
            switch kind {
            case "wrong name": try loopback.authority.issue(names: ["other.test"])
            case "expired": try loopback.authority.issue(names: ["hub.test"], validity: -7200 ... -3600)
            case "not yet valid": try loopback.authority.issue(names: ["hub.test"], validity: 3600...7200)
            case "self-signed": try ThrowAwayIdentity.selfSigned(names: ["hub.test"])
            default: try ThrowAwayAuthority(name: "another authority").issue(names: ["hub.test"])
            }
        let files = try loopback.files(identity)
        if kind == "authority kept secret" { try keepFirstCertificate(files.certificateChain) }
        let (port, accepted, listener) = try await loopback.listen(.server(identity: files))
        let (client, handshake) = try await loopback.connect(
            .client(trust: loopback.trust), "hub.test", port: port)
        let error = try await failure(of: handshake)
        #expect(error.contains("TLS handshake with hub.test failed: "), "\(error)")
        #expect(error.contains("certificate verify failed"), "\(error)")
        #expect(error.contains(words), "\(error)")
        let report = try await client.recorder.end.get()
        #expect(report.errors == [error])
        #expect(report.sessions == [])
        let heard = try await accepted.get().recorder.end.get().errors.joined()
        #expect(heard.contains(alert), "\(heard)")
        try await listener.close().get()
    }

    @Test func theSystemsStoreDoesNotTrustAThrowAwayAuthority() async throws {
        let loopback = try Loopback()
        let (port, _, listener) = try await loopback.listen(loopback.server())
        let (_, handshake) = try await loopback.connect(.client(), "hub.test", port: port)
        let error = try await failure(of: handshake)
        #expect(error.contains("certificate verify failed"), "\(error)")
        try await listener.close().get()
    }

    @Test func aServerThatWantsClientCertificatesTakesOnlyItsOwn() async throws {
        let loopback = try Loopback()
        let context = try TLSContext.server(
            identity: loopback.files(loopback.authority.issue(names: ["hub.test"])), clientTrust: loopback.trust)
        let good = try loopback.files(loopback.authority.issue(names: ["agent.test"]), "good")
        let foreign = try loopback.files(ThrowAwayAuthority().issue(names: ["agent.test"]), "foreign")
        for (identity, words) in [
            (good, nil), (nil, "peer did not return a certificate"), (foreign, "certificate verify failed"),
        ] as [(TLSIdentityFiles?, String?)] {
            let (port, accepted, listener) = try await loopback.listen(context)
            let (client, handshake) = try await loopback.connect(
                .client(trust: loopback.trust, identity: identity), "hub.test", port: port)
            let server = try await accepted.get()
            // In TLS 1.3 a client is done before the server has seen its certificate, so the server is asked.
            _ = try? await handshake.get()
            if words == nil { try await client.channel.close().get() }
            let report = try await server.recorder.end.get()
            if let words {
                #expect(report.errors.joined().contains(words), "\(report.errors)")
                #expect(report.sessions == [])
            } else {
                #expect(report.sessions.map(\.peerSubject) == ["/CN=agent.test"])
                #expect(report.errors == [])
            }
            try await listener.close().get()
        }
    }

    @Test func badFilesAndNamesAreNamedInTheError() throws {
        let loopback = try Loopback()
        let good = try loopback.files(loopback.authority.issue(names: ["hub.test"]))
        let other = try loopback.files(loopback.authority.issue(names: ["hub.test"]), "other")
        let missing = loopback.directory("missing.pem")
        #expect(try text { try TLSContext.client(trust: .file(missing)) }.contains(missing))
        #expect(try text { try TLSContext.client(trust: .file(good.privateKey)) }.contains(good.privateKey))
        #expect(
            try text {
                try TLSContext.server(identity: .init(certificateChain: missing, privateKey: good.privateKey))
            }.contains(missing))
        let mixed = try text {
            try TLSContext.server(
                identity: .init(certificateChain: good.certificateChain, privateKey: other.privateKey))
        }
        #expect(mixed.contains(other.privateKey) && mixed.contains("key values mismatch"), "\(mixed)")
        let context = try TLSContext.client(trust: loopback.trust)
        for name in ["", ".", "a\u{0}b", String(repeating: "a", count: 300)] {
            #expect(try !text { try TLSHandler(client: context, serverName: name) }.isEmpty)
        }
    }

    @Test func keysAreForTheirOwnerAlone() throws {
        let loopback = try Loopback()
        let files = try loopback.files(loopback.authority.issue(names: ["hub.test"]))
        for (path, mode) in [(files.privateKey, 0o600), (files.certificateChain, 0o644)] as [(String, mode_t)] {
            var facts = stat()
            #expect(stat(path, &facts) == 0)
            #expect(facts.st_mode & 0o777 & ~mode == 0)
        }
        // Again, over what is there.
        #expect(throws: Never.self) { try loopback.files(loopback.authority.issue(names: ["hub.test"])) }
        #expect(throws: TLSError.self) { try loopback.authority.issue(names: []) }
        #expect(throws: TLSError.self) { try loopback.authority.issue(names: ["a,email:b"]) }
    }

    private func text<T>(_ body: () throws -> T) throws -> String {
        do {
            _ = try body()
            return ""
        } catch let error as TLSError {
            return error.description
        }
    }

    /// "" when it did not fail.
    private func failure(of handshake: EventLoopFuture<TLSSession>) async throws -> String {
        do {
            _ = try await handshake.get()
            return ""
        } catch let error as TLSError {
            return error.description
        }
    }

    private func keepFirstCertificate(_ path: String) throws {
        let text = try #require(TestFile.read(path))
        let mark = Array("-----END CERTIFICATE-----\n".utf8)
        let end = try #require(text.indices.first { text[$0...].starts(with: mark) })
        TestFile.write(Array(text[..<(end + mark.count)]), path)
    }
}

enum TestFile {
    static func read(_ path: String) -> [UInt8]? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, file)
        return Array(bytes.prefix(count))
    }

    static func write(_ bytes: [UInt8], _ path: String) {
        guard let file = fopen(path, "w") else { return }
        fwrite(bytes, 1, bytes.count, file)
        fclose(file)
    }
}
