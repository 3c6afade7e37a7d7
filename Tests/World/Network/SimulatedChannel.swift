import Glibc
import NIOCore

/// One end of a connection through a simulated network: what it writes waits until the network has room, and what arrives
/// is read at once.
///
/// Used on one thread: hence `@unchecked Sendable`.
final class SimulatedChannel: Channel, ChannelCore, @unchecked Sendable {
    private struct Piece {
        var bytes: ByteBuffer
        let promise: EventLoopPromise<Void>?
    }

    let loop: SimulatedLoop
    let allocator = ByteBufferAllocator()
    let closeFuture: EventLoopFuture<Void>
    private let closePromise: EventLoopPromise<Void>
    private var pieces: ChannelPipeline?
    /// How many bytes may wait before writers are told to stop, and to go on.
    private let marks: (low: Int, high: Int)
    private var unflushed: [Piece] = []
    private var flushed = CircularBuffer<Piece>()
    private var waiting = 0
    private(set) var isActive = true
    private(set) var isWritable = true

    /// Takes as many bytes as it has room for from the front, and says how many these were. Nil: its process is no more.
    var onSend: ((inout ByteBuffer) -> Void)?
    /// Told that this side closes.
    var onClose: (() -> Void)?

    init(_ loop: SimulatedLoop, mark: Int) {
        self.loop = loop
        marks = (mark / 2, mark)
        closePromise = loop.makePromise()
        closeFuture = closePromise.futureResult
        pieces = ChannelPipeline(channel: self)
    }

    var pipeline: ChannelPipeline {
        guard let pieces else { preconditionFailure("made by init") }
        return pieces
    }

    var eventLoop: any EventLoop { loop }
    var _channelCore: any ChannelCore { self }
    var parent: (any Channel)? { nil }
    var localAddress: SocketAddress? { nil }
    var remoteAddress: SocketAddress? { nil }

    func setOption<Option: ChannelOption>(_ option: Option, value: Option.Value) -> EventLoopFuture<Void> {
        loop.makeSucceededVoidFuture()
    }

    func getOption<Option: ChannelOption>(_ option: Option) -> EventLoopFuture<Option.Value> {
        loop.makeFailedFuture(ChannelError.operationUnsupported)
    }

    // MARK: - The network's side, on the loop

    func activate() {
        pipeline.syncOperations.fireChannelRegistered()
        pipeline.syncOperations.fireChannelActive()
    }

    func receive(_ bytes: ByteBuffer) {
        guard isActive else { return }
        pipeline.syncOperations.fireChannelRead(NIOAny(bytes))
        guard isActive else { return }
        pipeline.syncOperations.fireChannelReadComplete()
    }

    /// The peer has closed, or the network says so.
    func receiveEnd() {
        guard isActive else { return }
        close0(error: ChannelError.eof, mode: .all, promise: nil)
    }

    func receiveReset() {
        guard isActive else { return }
        pipeline.syncOperations.fireErrorCaught(IOError(errnoCode: ECONNRESET, reason: "read"))
        guard isActive else { return }
        close0(error: ChannelError.eof, mode: .all, promise: nil)
    }

    /// The network has room again.
    func sendOn() {
        while let onSend, !flushed.isEmpty {
            let before = flushed[flushed.startIndex].bytes.readableBytes
            onSend(&flushed[flushed.startIndex].bytes)
            waiting -= before - flushed[flushed.startIndex].bytes.readableBytes
            guard flushed[flushed.startIndex].bytes.readableBytes == 0 else { break }
            flushed.removeFirst().promise?.succeed()
        }
        if !isWritable, waiting <= marks.low {
            isWritable = true
            pipeline.syncOperations.fireChannelWritabilityChanged()
        }
    }

    // MARK: - The pipeline's side

    func write0(_ data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard isActive else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        let bytes = unwrapData(data, as: ByteBuffer.self)
        waiting += bytes.readableBytes
        unflushed.append(Piece(bytes: bytes, promise: promise))
        if isWritable, waiting > marks.high {
            isWritable = false
            pipeline.syncOperations.fireChannelWritabilityChanged()
        }
    }

    func flush0() {
        flushed.append(contentsOf: unflushed)
        unflushed = []
        sendOn()
    }

    func close0(error: any Error, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard isActive else {
            promise?.fail(ChannelError.alreadyClosed)
            return
        }
        guard mode == .all else {
            promise?.fail(ChannelError.operationUnsupported)
            return
        }
        isActive = false
        let left = Array(flushed) + unflushed
        flushed = []
        unflushed = []
        for piece in left { piece.promise?.fail(error) }
        onClose?()
        onSend = nil
        onClose = nil
        promise?.succeed()
        pipeline.syncOperations.fireChannelInactive()
        pipeline.syncOperations.fireChannelUnregistered()
        loop.execute {
            self.removeHandlers(pipeline: self.pipeline)
            self.closePromise.succeed()
        }
    }

    func localAddress0() throws -> SocketAddress { throw ChannelError.operationUnsupported }
    func remoteAddress0() throws -> SocketAddress { throw ChannelError.operationUnsupported }
    func register0(promise: EventLoopPromise<Void>?) { promise?.fail(ChannelError.operationUnsupported) }
    func bind0(to: SocketAddress, promise: EventLoopPromise<Void>?) { promise?.fail(ChannelError.operationUnsupported) }
    func connect0(to: SocketAddress, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }
    func read0() {}
    func triggerUserOutboundEvent0(_ event: Any, promise: EventLoopPromise<Void>?) { promise?.succeed() }
    func channelRead0(_ data: NIOAny) {}
    func errorCaught0(error: any Error) {}
}
