import LoadSupport
import NIOCore
import NIOEmbedded
import OpenSSLTransport

/// Blocks of 256 KiB encrypted by the agent's channel handler; nobody decrypts them.
final class TLSStage: Stage {
    private static let blocks = 32
    private static let size = 256 << 10

    static let kind = StageKind(
        name: "tls", title: "TLS, encrypting alone", records: blocks * size / Filling.record, bytes: blocks * size
    ) { try TLSStage(directory: $0) }

    private let client: EmbeddedChannel
    private let server: EmbeddedChannel
    private let block = ByteBuffer(repeating: UInt8(ascii: "x"), count: size)

    /// Certificates, and the handshake.
    private init(directory: String) throws {
        let authority = try ThrowAwayAuthority()
        try authority.writeCertificate(to: "\(directory)/ca.pem")
        let files = TLSIdentityFiles(certificateChain: "\(directory)/chain.pem", privateKey: "\(directory)/key.pem")
        try authority.issue(names: ["hub.test"]).write(to: files)
        client = EmbeddedChannel(
            handler: try TLSHandler(
                client: try .client(trust: .file("\(directory)/ca.pem")), serverName: "hub.test"))
        server = EmbeddedChannel(handler: try TLSHandler(server: try .server(identity: files)))
        let address = try SocketAddress(ipAddress: "127.0.0.1", port: 1)
        try client.connect(to: address).wait()
        try server.connect(to: address).wait()
        var moved = true
        while moved {
            moved = false
            while let bytes = try client.readOutbound(as: ByteBuffer.self) {
                moved = true
                try server.writeInbound(bytes)
            }
            while let bytes = try server.readOutbound(as: ByteBuffer.self) {
                moved = true
                try client.writeInbound(bytes)
            }
        }
    }

    func pass() throws {
        var count = 0
        for _ in 0..<Self.blocks {
            try client.writeAndFlush(block).wait()
            while let bytes = try client.readOutbound(as: ByteBuffer.self) { count += bytes.readableBytes }
        }
        guard count > Self.kind.bytes else { throw Failure("\(count) bytes of TLS for \(Self.kind.bytes)") }
    }
}
