internal import DequeModule
internal import NIOCore

/// How a receiver link hands out credit.
package enum CreditPolicy: Hashable, Sendable {
    /// Only `grantCredit` does.
    case manual
    /// Credit plus deliveries not yet settled are kept at this number; topped up when half of it is used.
    case window(UInt32)
}

/// One end of a link: the fields of part 2, section 2.6 that this side keeps. The session runs it, because handles,
/// windows and delivery ids belong to the session.
struct LinkMachine {
    enum State: Hashable {
        /// Our attach is out.
        case attachSent
        /// The peer's attach waits for our answer.
        case attachReceived
        case attached
        /// The peer answered with an attach without terminus: its detach follows.
        case refused
        /// Our detach is out; the peer's frames on this handle no longer count.
        case detachSent
    }

    let id: LinkID
    let name: String
    let role: LinkRole
    var state: State
    var remoteHandle: UInt32?
    /// What we ended the link with, told when the peer confirms.
    var localError: AMQPError?
    var sender = Sender()
    var receiver = Receiver()

    struct Sender {
        struct Queued {
            var delivery: OutgoingDelivery
            var token: UInt64
            /// Set when its first frame was sent.
            var deliveryID: UInt32?
            /// The receiver settled it before its last frame was sent.
            var abandoned = false
        }

        var deliveryCount: UInt32 = 0
        var credit: UInt32 = 0
        var drain = false
        /// Waiting for credit or window; the first one may be partly sent.
        var queue = Deque<Queued>()
        var queuedBytes = 0
        /// In the session's round of links with something to send.
        var isReady = false
        var defaultOutcome: DeliveryState?
        /// The peer's limit, bytes; 0: none.
        var peerMaximumMessageSize: UInt64 = 0
    }

    struct Receiver {
        struct Partial {
            var id: UInt32
            var tag: ByteBuffer
            var messageFormat: UInt32
            var settled: Bool
            var state: DeliveryState?
            var payload: ByteBuffer
        }

        var deliveryCount: UInt32 = 0
        var credit: UInt32 = 0
        var drain = false
        var policy = CreditPolicy.manual
        var unsettled: UInt32 = 0
        var partial: Partial?
        var maximumMessageSize: UInt64 = 0
        /// The size of the last delivery of several frames: the next one is likely to be as long.
        var sizeHint = 0
    }

    init(id: LinkID, name: String, role: LinkRole, state: State) {
        self.id = id
        self.name = name
        self.role = role
        self.state = state
    }

    /// The front delivery may start or go on.
    var canSend: Bool {
        guard state == .attached, let first = sender.queue.first else { return false }
        return first.deliveryID != nil || sender.credit > 0
    }

    /// How much credit the window policy wants to add now; nil: nothing yet.
    var creditToAdd: UInt32? {
        guard case .window(let window) = receiver.policy, state == .attached, !receiver.drain else { return nil }
        let (inUse, overflow) = receiver.credit.addingReportingOverflow(receiver.unsettled)
        guard !overflow, inUse < window else { return nil }
        let missing = window - inUse
        return missing >= max(1, window / 2) ? missing : nil
    }

    /// Queues a delivery behind those that wait, at most `limit` of them.
    mutating func enqueue(_ delivery: OutgoingDelivery, token: UInt64, limit: Int) -> SendRefusal? {
        guard role == .sender, state == .attached || state == .attachSent else { return .noLink }
        guard sender.queue.count < limit else { return .queueFull }
        let largest = sender.peerMaximumMessageSize
        guard largest == 0 || UInt64(delivery.payload.readableBytes) <= largest else {
            return .tooLarge(limit: largest)
        }
        guard (delivery.tag?.readableBytes ?? 0) <= 32 else { return .tagTooLong }
        sender.queue.append(Sender.Queued(delivery: delivery, token: token))
        sender.queuedBytes += delivery.payload.readableBytes
        return nil
    }

    /// True: the link has something to do and was not yet in the session's round.
    mutating func becomeReady() -> Bool {
        guard role == .sender, !sender.isReady, canSend || (sender.drain && state == .attached) else { return false }
        sender.isReady = true
        return true
    }

    /// Spends one credit; the new delivery's number on this link.
    mutating func countDelivery() -> UInt32 {
        sender.credit -= 1
        sender.deliveryCount &+= 1
        return sender.deliveryCount
    }
}
