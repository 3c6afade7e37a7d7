import NIOCore
import NIOPosix

enum ClientBootstrapForTests {
    /// A connection with one handler.
    static func connect(
        _ loop: any EventLoop, port: Int, _ handler: @escaping @Sendable () throws -> any ChannelHandler
    ) async throws -> any Channel {
        try await ClientBootstrap(group: loop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(handler()) }
            }
            .connect(host: "127.0.0.1", port: port).get()
    }
}
