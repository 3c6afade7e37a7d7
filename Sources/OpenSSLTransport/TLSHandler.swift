package import NIOCore

/// TLS between the socket and the handlers behind it.
///
/// The handshake starts when the channel is active. What is written before it ends waits here, so the caller should
/// await the handshake (`TLSEvent.handshakeCompleted` or the promise) before it writes much, with a deadline of its
/// own: this handler waits for the peer as long as the channel lives. Errors close the channel.
package final class TLSHandler: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    /// How long a close waits for the socket to take what was written before, if not told otherwise.
    package static let defaultCloseTimeout = TimeAmount.seconds(5)

    /// Ciphertext is handed to the channel in pieces of about this size.
    private static let outputPiece = 256 * 1024

    private enum State {
        case idle, handshaking, open
        /// Our `close_notify` is on its way and nothing more may be written; the peer's is still to come.
        case halfClosed
        case closing, failed, closed
    }

    /// What the handshake agreed on; nil before its end. On the event loop.
    package private(set) var session: TLSSession?

    private let engine: TLSEngine
    private let peer: String
    private let closeTimeout: TimeAmount
    private var handshakePromise: EventLoopPromise<TLSSession>?
    private var state = State.idle

    private typealias Write = (bytes: ByteBuffer, promise: EventLoopPromise<Void>?)
    private var pending = MarkedCircularBuffer<Write>(initialCapacity: 8)
    private var pendingBytes = 0
    /// Ends of writes, gathered so that small writes share a record.
    private var staging = ByteBuffer()
    private var stagedPromises: [EventLoopPromise<Void>] = []
    /// Of writes that are wholly in the engine's output.
    private var encryptedPromises: [EventLoopPromise<Void>] = []

    /// Bytes went to the handlers behind since the last `channelReadComplete`.
    private var delivered = false
    private var readIsWanted = false

    /// The client's side.
    ///
    /// - Parameters:
    ///   - serverName: the DNS name or IP address that the server's certificate must bear.
    ///   - handshake: completed once, with the session or with the reason why there is none.
    ///   - closeTimeout: how long `close` waits for the socket to take what was written before.
    package init(
        client context: TLSContext, serverName: String, handshake: EventLoopPromise<TLSSession>? = nil,
        closeTimeout: TimeAmount = defaultCloseTimeout
    ) throws(TLSError) {
        precondition(context.side == .client)
        engine = try TLSEngine(context: context, serverName: serverName)
        peer = serverName
        handshakePromise = handshake
        self.closeTimeout = closeTimeout
    }

    /// The server's side.
    package init(
        server context: TLSContext, handshake: EventLoopPromise<TLSSession>? = nil,
        closeTimeout: TimeAmount = defaultCloseTimeout
    ) throws(TLSError) {
        precondition(context.side == .server)
        engine = try TLSEngine(context: context, serverName: nil)
        peer = "the client"
        handshakePromise = handshake
        self.closeTimeout = closeTimeout
    }

    // MARK: - Life

    package func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { start(context) }
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        state = .closed
        failWaiting(.closed)
    }

    package func channelActive(context: ChannelHandlerContext) {
        start(context)
        context.fireChannelActive()
    }

    package func channelInactive(context: ChannelHandlerContext) {
        inputEnded(context)
        state = .closed
        failWaiting(.closed)
        context.fireChannelInactive()
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent, inputEnded(context) {
            context.close(promise: nil)
        }
        context.fireUserInboundEventTriggered(event)
    }

    /// The TCP stream ended; true when the peer should have said more.
    @discardableResult
    private func inputEnded(_ context: ChannelHandlerContext) -> Bool {
        let error: TLSError
        switch state {
        case .idle, .handshaking:
            error = .handshakeFailed(peer: peer, reason: "the connection was closed during the handshake")
        case .open, .halfClosed:
            error = .truncated(peer: peer)
        case .closing, .failed, .closed:
            return false
        }
        state = .failed
        failWaiting(error)
        context.fireErrorCaught(error)
        return true
    }

    private func start(_ context: ChannelHandlerContext) {
        guard case .idle = state else { return }
        state = .handshaking
        if case .failed(let reason) = engine.handshake() {
            fail(context, .handshakeFailed(peer: peer, reason: reason))
        } else {
            writeOutput(context)
            context.flush()
        }
    }

    private func fail(_ context: ChannelHandlerContext, _ error: TLSError) {
        state = .failed
        // OpenSSL has written the alert that tells the peer why.
        writeOutput(context)
        context.flush()
        failWaiting(error)
        context.fireErrorCaught(error)
        context.close(promise: nil)
    }

    private func failWaiting(_ error: TLSError) {
        handshakePromise?.fail(error)
        handshakePromise = nil
        let promises = encryptedPromises + stagedPromises + pending.compactMap { $0.promise }
        encryptedPromises = []
        stagedPromises = []
        while !pending.isEmpty { _ = pending.removeFirst() }
        pendingBytes = 0
        staging.clear()
        for promise in promises { promise.fail(error) }
    }

    // MARK: - Inbound

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch state {
        case .handshaking, .open, .halfClosed: break
        case .idle, .closing, .failed, .closed: return
        }
        var plaintexts: [ByteBuffer] = []
        let wasDone = engine.handshakeIsDone
        let outcome = engine.receive(unwrapInboundIn(data), into: &plaintexts)
        if engine.outputLength > 0 {
            writeOutput(context)
            context.flush()
        }
        if !wasDone, engine.handshakeIsDone { handshakeEnded(context) }
        // The engine is done with this read: whatever the handlers behind do now, it is in a state to take it.
        for plaintext in plaintexts {
            delivered = true
            context.fireChannelRead(wrapInboundOut(plaintext))
        }
        switch outcome {
        case .done, .needsInput: break
        case .closedByPeer: closedByPeer(context)
        case .failed(let reason):
            // The handlers behind may have closed meanwhile; then the session's fate is nobody's concern.
            switch state {
            case .handshaking: fail(context, .handshakeFailed(peer: peer, reason: reason))
            case .open, .halfClosed: fail(context, .sessionFailed(peer: peer, reason: reason))
            case .idle, .closing, .failed, .closed: break
            }
        }
    }

    private func handshakeEnded(_ context: ChannelHandlerContext) {
        state = .open
        let session = engine.session
        self.session = session
        handshakePromise?.succeed(session)
        handshakePromise = nil
        context.fireUserInboundEventTriggered(TLSEvent.handshakeCompleted(session))
        if case .open = state { encryptPending(context) }
    }

    private func closedByPeer(_ context: ChannelHandlerContext) {
        switch state {
        case .open, .halfClosed:
            context.fireUserInboundEventTriggered(TLSEvent.closedByPeer)
            close(context: context, mode: .all, promise: nil)
        case .handshaking:
            fail(context, .handshakeFailed(peer: peer, reason: "the peer closed the session during the handshake"))
        case .idle, .closing, .failed, .closed: break
        }
    }

    package func read(context: ChannelHandlerContext) {
        readIsWanted = true
        context.read()
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        if delivered {
            delivered = false
            readIsWanted = false
            context.fireChannelReadComplete()
        } else {
            // Part of a record, or of the handshake: nobody behind will ask again for what it asked for already.
            if case .handshaking = state { readIsWanted = true }
            context.fireChannelReadComplete()
            if readIsWanted { context.read() }
        }
    }

    // MARK: - Outbound

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch state {
        case .idle, .handshaking, .open:
            let bytes = unwrapOutboundIn(data)
            pendingBytes += bytes.readableBytes
            pending.append((bytes, promise))
        case .halfClosed, .closing, .failed, .closed:
            promise?.fail(TLSError.closed)
        }
    }

    package func flush(context: ChannelHandlerContext) {
        pending.mark()
        switch state {
        case .open: encryptPending(context)
        case .idle, .handshaking: break
        case .halfClosed, .closing, .failed, .closed: context.flush()
        }
    }

    /// Encrypts everything before the mark in full records and gives it to the channel with one flush.
    private func encryptPending(_ context: ChannelHandlerContext) {
        guard pending.hasMark else { return }
        while pending.hasMark {
            let (bytes, promise) = pending.removeFirst()
            let failure = bytes.withUnsafeReadableBytes { encrypt($0, isLast: !pending.hasMark, context) }
            pendingBytes -= bytes.readableBytes
            if let promise {
                if staging.readableBytes > 0 {
                    stagedPromises.append(promise)
                } else {
                    encryptedPromises.append(promise)
                }
            }
            if let failure { return fail(context, failure) }
        }
        writeOutput(context)
        context.flush()
    }

    private func encrypt(
        _ bytes: UnsafeRawBufferPointer, isLast: Bool, _ context: ChannelHandlerContext
    ) -> TLSError? {
        var rest = bytes[...]
        if staging.readableBytes > 0 {
            let piece = rest.prefix(TLSEngine.recordSize - staging.readableBytes)
            staging.writeBytes(UnsafeRawBufferPointer(rebasing: piece))
            rest = rest[piece.endIndex...]
            if staging.readableBytes == TLSEngine.recordSize || isLast {
                if let error = encryptStaging(context) { return error }
            }
        }
        while rest.count >= TLSEngine.recordSize || (isLast && !rest.isEmpty) {
            makeRoom(context)
            let records = (Self.outputPiece - engine.outputLength) / TLSEngine.recordSize
            let whole = isLast ? rest.count : rest.count / TLSEngine.recordSize * TLSEngine.recordSize
            let piece = rest.prefix(min(records * TLSEngine.recordSize, whole))
            if let error = encryptRecords(UnsafeRawBufferPointer(rebasing: piece), context) { return error }
            rest = rest[piece.endIndex...]
        }
        if !rest.isEmpty { staging.writeBytes(UnsafeRawBufferPointer(rebasing: rest)) }
        return nil
    }

    private func encryptStaging(_ context: ChannelHandlerContext) -> TLSError? {
        defer {
            staging.clear()
            encryptedPromises += stagedPromises
            stagedPromises.removeAll(keepingCapacity: true)
        }
        makeRoom(context)
        return staging.withUnsafeReadableBytes { encryptRecords($0, context) }
    }

    /// A piece of output that has no room for one more record goes to the channel.
    private func makeRoom(_ context: ChannelHandlerContext) {
        if engine.outputLength > Self.outputPiece - TLSEngine.recordSize { writeOutput(context) }
    }

    private func encryptRecords(_ bytes: UnsafeRawBufferPointer, _ context: ChannelHandlerContext) -> TLSError? {
        let expected = min(pendingBytes + staging.readableBytes, Self.outputPiece)
        switch engine.encrypt(bytes, expecting: expected) {
        case .done: return nil
        case .failed(let reason): return .sessionFailed(peer: peer, reason: reason)
        case .needsInput, .closedByPeer: return .sessionFailed(peer: peer, reason: "the session no longer takes data")
        }
    }

    /// Hands what the engine has for the peer to the channel, with the promises of the writes that it completes.
    @discardableResult
    private func writeOutput(_ context: ChannelHandlerContext) -> EventLoopFuture<Void>? {
        guard engine.outputLength > 0 else {
            let promises = encryptedPromises
            encryptedPromises.removeAll(keepingCapacity: true)
            // Writes of nothing.
            for promise in promises { promise.succeed() }
            return nil
        }
        var promise: EventLoopPromise<Void>?
        if encryptedPromises.count == 1 {
            promise = encryptedPromises[0]
        } else {
            let all = context.eventLoop.makePromise(of: Void.self)
            for each in encryptedPromises { all.futureResult.cascade(to: each) }
            promise = all
        }
        encryptedPromises.removeAll(keepingCapacity: true)
        context.write(wrapOutboundOut(engine.takeOutput()), promise: promise)
        return promise?.futureResult
    }

    // MARK: - Closing

    /// `.all` says goodbye to the peer, waits (at most `closeTimeout`) until the socket has taken everything, and
    /// closes. `.output` says goodbye and goes on reading until the peer does the same.
    package func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        switch (state, mode) {
        case (_, .input):
            context.close(mode: .input, promise: promise)
        case (.open, .output):
            state = .halfClosed
            let written = sayGoodbye(context)
            if let promise {
                if let written { written.cascade(to: promise) } else { promise.succeed() }
            }
        case (.open, .all), (.halfClosed, .all):
            let written = state == .open ? sayGoodbye(context) : nil
            state = .closing
            failWaiting(.closed)
            guard let written else { return context.close(mode: .all, promise: promise) }
            closeWhenWritten(context, written, promise)
        case (.halfClosed, .output):
            promise?.succeed()
        case (.idle, _), (.handshaking, _), (.closing, _), (.failed, _), (.closed, _):
            if state != .failed { state = .closing }
            failWaiting(.closed)
            context.close(mode: mode, promise: promise)
        }
    }

    private func sayGoodbye(_ context: ChannelHandlerContext) -> EventLoopFuture<Void>? {
        engine.sayGoodbye()
        let written = writeOutput(context)
        context.flush()
        return written
    }

    private func closeWhenWritten(
        _ context: ChannelHandlerContext, _ written: EventLoopFuture<Void>, _ promise: EventLoopPromise<Void>?
    ) {
        let loop = context.eventLoop.assumeIsolated()
        var closed = false
        let close = {
            guard !closed else { return }
            closed = true
            context.close(mode: .all, promise: promise)
        }
        let deadline = loop.scheduleTask(in: closeTimeout) { close() }
        written.assumeIsolated().whenComplete { _ in
            deadline.cancel()
            close()
        }
    }
}
