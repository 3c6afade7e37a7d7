package import NIOCore

/// A byte stream over a WebSocket that is open: bytes out become binary messages, binary messages in become bytes.
///
/// Behind it everything looks like a TCP connection. Pings are answered, a close is answered and closes the channel; any
/// breach of the protocol closes it with the status code that the RFC names. Works in both roles.
package final class WebSocketBytesHandler: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    package enum Role: Sendable { case client, server }

    /// Bytes of payload in a frame: enough to make its head cheap, and no more than anybody takes.
    package static let framePayload = 64 << 10
    /// A client's masked frames are made and handed on in pieces of about this size.
    private static let outputPiece = 256 << 10
    /// Pieces of a server's output up to this size are copied behind the head of their frame.
    private static let copiedPiece = 4096
    /// How long a close waits for the channel to take what was written before.
    package static let defaultCloseTimeout = TimeAmount.seconds(5)

    private enum State {
        case open
        /// Our close frame is out.
        case closing
        case closed
    }

    private let role: Role
    private let closeTimeout: TimeAmount
    private var parser: WebSocketFrameParser
    private var state = State.open
    private var generator = SystemRandomNumberGenerator()

    private typealias Write = (bytes: ByteBuffer, promise: EventLoopPromise<Void>?)
    private var pending = MarkedCircularBuffer<Write>(initialCapacity: 16)
    private var output = ByteBuffer()
    /// The answer to the last ping, until the channel can take it. Older ones need none (section 5.5.3), so a peer that
    /// pings and does not read costs no memory.
    private var pong: ByteBuffer?
    private var delivered = false
    private var readIsWanted = false

    package init(_ role: Role, closeTimeout: TimeAmount = defaultCloseTimeout) {
        self.role = role
        self.closeTimeout = closeTimeout
        parser = WebSocketFrameParser(isFromClient: role == .server)
    }

    // MARK: - Life

    package func handlerRemoved(context: ChannelHandlerContext) { end() }

    package func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    private func end() {
        state = .closed
        failPending()
    }

    private func failPending() {
        while !pending.isEmpty { pending.removeFirst().promise?.fail(ChannelError.ioOnClosedChannel) }
    }

    // MARK: - Inbound

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var input = unwrapInboundIn(data)
        while state == .open {
            let event: WebSocketFrameParser.Event?
            do throws(WebSocketError) {
                event = try parser.next(&input)
            } catch {
                if case .violation(let status, _) = error { say(context, goodbye: status) }
                context.fireErrorCaught(error)
                return closeTransport(context, nil)
            }
            switch event {
            case nil: return
            case .bytes(let bytes)?:
                delivered = true
                context.fireChannelRead(wrapInboundOut(bytes))
            case .ping(let payload)?: pong = payload
            case .pong?: break
            case .close(let status, let reason)?:
                say(context, goodbye: status)
                // 1000 and 1001: the peer has done what it wanted, or goes away.
                if let status, status > 1001 {
                    context.fireErrorCaught(WebSocketError.closedByPeer(status: status, reason: reason))
                }
                return closeTransport(context, nil)
            }
        }
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        answerPing(context)
        let wants = readIsWanted && !delivered
        if delivered { readIsWanted = false }
        delivered = false
        context.fireChannelReadComplete()
        // Nothing came of this read, and nobody behind will ask again for what it asked for already.
        if wants { context.read() }
    }

    package func read(context: ChannelHandlerContext) {
        readIsWanted = true
        context.read()
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        answerPing(context)
        context.fireChannelWritabilityChanged()
    }

    private func answerPing(_ context: ChannelHandlerContext) {
        guard state == .open, let payload = pong, context.channel.isWritable else { return }
        pong = nil
        var frame = ByteBuffer()
        WebSocketFrame.writeControl(.pong, payload, mask: mask(), into: &frame)
        context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
    }

    // MARK: - Outbound

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard state == .open else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        pending.append((unwrapOutboundIn(data), promise))
    }

    package func flush(context: ChannelHandlerContext) {
        pending.mark()
        if state == .open { writePending(context) }
        context.flush()
    }

    /// A client masks each frame under a new key (section 5.3).
    private func mask() -> UInt32? {
        role == .client ? UInt32.random(in: 0 ... .max, using: &generator) : nil
    }

    /// Frames everything before the mark.
    private func writePending(_ context: ChannelHandlerContext) {
        guard pending.hasMark else { return }
        var writes: [Write] = []
        var total = 0
        while pending.hasMark {
            let write = pending.removeFirst()
            total += write.bytes.readableBytes
            writes.append(write)
        }
        let promises = writes.compactMap(\.promise)
        var promise: EventLoopPromise<Void>?
        if promises.count == 1 {
            promise = promises[0]
        } else if !promises.isEmpty {
            let all = context.eventLoop.makePromise(of: Void.self)
            for each in promises { all.futureResult.cascade(to: each) }
            promise = all
        }
        guard total > 0 else {
            promise?.succeed()
            return
        }
        var index = 0
        while total > 0 {
            let length = min(total, Self.framePayload)
            total -= length
            if role == .client {
                appendMasked(length, &writes, &index, rest: total)
                guard total == 0 || output.readableBytes >= Self.outputPiece else { continue }
            } else {
                writePlain(context, length, &writes, &index)
            }
            guard output.readableBytes > 0 || total == 0 else { continue }
            context.write(wrapOutboundOut(output), promise: total == 0 ? promise : nil)
            // With TLS behind, its flush is done with the bytes, and the storage is used again.
            if total > 0, role == .client { context.flush() }
            output.clear()
        }
    }

    /// Appends a masked frame with the next `length` bytes to the output.
    private func appendMasked(_ length: Int, _ writes: inout [Write], _ index: inout Int, rest: Int) {
        if output.readableBytes == 0 {
            let room = min(length + rest, Self.outputPiece + Self.framePayload)
            output.clear(minimumCapacity: room + (room / Self.framePayload + 1) * WebSocketFrame.longestHead)
        }
        let mask = UInt32.random(in: 0 ... .max, using: &generator)
        WebSocketFrame.writeHead(.binary, length: length, mask: mask, into: &output)
        let start = output.readableBytes
        take(length, &writes, &index) { output.writeImmutableBuffer($0) }
        output.withUnsafeMutableReadableBytes { bytes in
            WebSocketFrame.applyMask(mask, at: 0, to: .init(rebasing: bytes[start...]))
        }
    }

    /// Writes a frame without mask; large pieces of its payload go to the channel as they are. The end of it stays in
    /// the output.
    private func writePlain(
        _ context: ChannelHandlerContext, _ length: Int, _ writes: inout [Write], _ index: inout Int
    ) {
        WebSocketFrame.writeHead(.binary, length: length, mask: nil, into: &output)
        take(length, &writes, &index) { piece in
            if piece.readableBytes <= Self.copiedPiece {
                output.writeImmutableBuffer(piece)
            } else {
                if output.readableBytes > 0 { context.write(wrapOutboundOut(output), promise: nil) }
                output = ByteBuffer()
                context.write(wrapOutboundOut(piece), promise: nil)
            }
        }
    }

    /// The next `length` bytes of `writes`, piece by piece.
    private func take(_ length: Int, _ writes: inout [Write], _ index: inout Int, _ body: (ByteBuffer) -> Void) {
        var missing = length
        while missing > 0, index < writes.count {
            let available = writes[index].bytes.readableBytes
            if let piece = writes[index].bytes.readSlice(length: min(missing, available)), available > 0 {
                body(piece)
                missing -= piece.readableBytes
            }
            if writes[index].bytes.readableBytes == 0 { index += 1 }
        }
    }

    // MARK: - Closing

    /// Says goodbye, waits (at most the close time-out) until the channel has taken it, and closes. The peer's answer is
    /// not waited for.
    package func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard mode == .all else { return context.close(mode: mode, promise: promise) }
        say(context, goodbye: 1000)
        closeTransport(context, promise)
    }

    private var goodbye: EventLoopFuture<Void>?

    /// Our close frame, once.
    private func say(_ context: ChannelHandlerContext, goodbye status: UInt16?) {
        guard state == .open else { return }
        state = .closing
        failPending()
        var payload = ByteBuffer()
        if let status { payload.writeInteger(status) }
        var frame = ByteBuffer()
        WebSocketFrame.writeControl(.close, payload, mask: mask(), into: &frame)
        let written = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(wrapOutboundOut(frame), promise: written)
        goodbye = written.futureResult
    }

    private func closeTransport(_ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?) {
        guard let written = goodbye else { return context.close(promise: promise) }
        let loop = context.eventLoop.assumeIsolated()
        var closed = false
        let close = {
            guard !closed else { return }
            closed = true
            context.close(promise: promise)
        }
        let deadline = loop.scheduleTask(in: closeTimeout) { close() }
        written.assumeIsolated().whenComplete { _ in
            deadline.cancel()
            close()
        }
    }
}

@available(*, unavailable)
extension WebSocketBytesHandler: Sendable {}
