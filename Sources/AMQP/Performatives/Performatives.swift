package import NIOCore

/// The nine performatives of AMQP 1.0 (part 2, section 2.7), as a peer sees them.
package enum Performative: Hashable, Sendable {
    indirect case open(Open)
    indirect case begin(Begin)
    indirect case attach(Attach)
    case flow(Flow)
    case transfer(Transfer)
    case disposition(Disposition)
    case detach(Detach)
    case end(End)
    case close(Close)
}

/// Section 2.7.1, descriptor 0x10.
package struct Open: Hashable, Sendable {
    package var containerID: String
    package var hostname: String?
    package var maxFrameSize: UInt32 = .max
    package var channelMax: UInt16 = .max
    /// Milliseconds without a frame after which the sender of this `open` gives up the connection; nil or 0: never.
    package var idleTimeOut: UInt32?
    package var outgoingLocales: [String] = []
    package var incomingLocales: [String] = []
    package var offeredCapabilities: [String] = []
    package var desiredCapabilities: [String] = []
    package var properties = AMQPMap()

    package init(containerID: String) { self.containerID = containerID }
}

/// Section 2.7.2, descriptor 0x11.
package struct Begin: Hashable, Sendable {
    package var remoteChannel: UInt16?
    package var nextOutgoingID: UInt32
    package var incomingWindow: UInt32
    package var outgoingWindow: UInt32
    package var handleMax: UInt32 = .max
    package var offeredCapabilities: [String] = []
    package var desiredCapabilities: [String] = []
    package var properties = AMQPMap()

    package init(nextOutgoingID: UInt32, incomingWindow: UInt32, outgoingWindow: UInt32) {
        self.nextOutgoingID = nextOutgoingID
        self.incomingWindow = incomingWindow
        self.outgoingWindow = outgoingWindow
    }
}

/// Which end of a link: section 2.8.1. On the wire false is sender.
public enum LinkRole: Hashable, Sendable {
    case sender
    case receiver
}

/// Section 2.8.2.
public enum SenderSettleMode: UInt8, Hashable, Sendable {
    case unsettled = 0
    case settled = 1
    case mixed = 2
}

/// Section 2.8.3.
public enum ReceiverSettleMode: UInt8, Hashable, Sendable {
    case first = 0
    case second = 1
}

/// Section 2.7.3, descriptor 0x12.
package struct Attach: Hashable, Sendable {
    package var name: String
    package var handle: UInt32
    package var role: LinkRole
    package var senderSettleMode: SenderSettleMode = .mixed
    package var receiverSettleMode: ReceiverSettleMode = .first
    package var source: Source?
    package var target: Target?
    package var unsettled = AMQPMap()
    package var incompleteUnsettled = false
    /// Only when `role` is sender.
    package var initialDeliveryCount: UInt32?
    /// Bytes; nil or 0: no limit.
    package var maxMessageSize: UInt64?
    package var offeredCapabilities: [String] = []
    package var desiredCapabilities: [String] = []
    package var properties = AMQPMap()

    package init(name: String, handle: UInt32, role: LinkRole) {
        self.name = name
        self.handle = handle
        self.role = role
    }
}

/// Section 3.5.3, descriptor 0x28.
package struct Source: Hashable, Sendable {
    package var address: AMQPValue = .null
    package var durable: UInt32 = 0
    package var expiryPolicy: String = "session-end"
    package var timeout: UInt32 = 0
    package var dynamic = false
    package var dynamicNodeProperties = AMQPMap()
    package var distributionMode: String?
    package var filter = AMQPMap()
    package var defaultOutcome: DeliveryState?
    package var outcomes: [String] = []
    package var capabilities: [String] = []

    package init(address: String? = nil) { self.address = address.map(AMQPValue.string) ?? .null }
}

/// Section 3.5.4, descriptor 0x29; a coordinator (0x30) is read as a target without address.
package struct Target: Hashable, Sendable {
    package var address: AMQPValue = .null
    package var durable: UInt32 = 0
    package var expiryPolicy: String = "session-end"
    package var timeout: UInt32 = 0
    package var dynamic = false
    package var dynamicNodeProperties = AMQPMap()
    package var capabilities: [String] = []

    package init(address: String? = nil) { self.address = address.map(AMQPValue.string) ?? .null }
}

/// Section 2.7.4, descriptor 0x13.
package struct Flow: Hashable, Sendable {
    package var nextIncomingID: UInt32?
    package var incomingWindow: UInt32
    package var nextOutgoingID: UInt32
    package var outgoingWindow: UInt32
    package var handle: UInt32?
    package var deliveryCount: UInt32?
    package var linkCredit: UInt32?
    package var available: UInt32?
    package var drain = false
    package var echo = false
    package var properties = AMQPMap()

    package init(nextIncomingID: UInt32?, incomingWindow: UInt32, nextOutgoingID: UInt32, outgoingWindow: UInt32) {
        self.nextIncomingID = nextIncomingID
        self.incomingWindow = incomingWindow
        self.nextOutgoingID = nextOutgoingID
        self.outgoingWindow = outgoingWindow
    }
}

/// Section 2.7.5, descriptor 0x14. The payload follows the performative in the frame.
package struct Transfer: Hashable, Sendable {
    package var handle: UInt32
    package var deliveryID: UInt32?
    package var deliveryTag: ByteBuffer?
    package var messageFormat: UInt32?
    package var settled: Bool?
    package var more = false
    package var receiverSettleMode: ReceiverSettleMode?
    package var state: DeliveryState?
    package var resume = false
    package var aborted = false
    package var batchable = false

    package init(handle: UInt32) { self.handle = handle }
}

/// Section 2.7.6, descriptor 0x15.
package struct Disposition: Hashable, Sendable {
    package var role: LinkRole
    package var first: UInt32
    /// Nil: the same as `first`.
    package var last: UInt32?
    package var settled = false
    package var state: DeliveryState?
    package var batchable = false

    package init(role: LinkRole, first: UInt32, last: UInt32? = nil) {
        self.role = role
        self.first = first
        self.last = last
    }
}

/// Section 2.7.7, descriptor 0x16.
package struct Detach: Hashable, Sendable {
    package var handle: UInt32
    package var closed = false
    package var error: AMQPError?

    package init(handle: UInt32) { self.handle = handle }
}

/// Section 2.7.8, descriptor 0x17.
package struct End: Hashable, Sendable {
    package var error: AMQPError?
    package init(error: AMQPError? = nil) { self.error = error }
}

/// Section 2.7.9, descriptor 0x18.
package struct Close: Hashable, Sendable {
    package var error: AMQPError?
    package init(error: AMQPError? = nil) { self.error = error }
}

/// What a peer says went wrong: section 2.8.14, descriptor 0x1d.
public struct AMQPError: Error, Hashable, Sendable, CustomStringConvertible {
    /// For example `amqp:link:detach-forced` or `com.microsoft:server-busy`.
    public var condition: String
    /// The peer's own words.
    public var text: String?
    public var info: AMQPMap

    public init(_ condition: String, _ text: String? = nil, info: AMQPMap = AMQPMap()) {
        self.condition = condition
        self.text = text
        self.info = info
    }

    public var description: String { text.map { "\(condition): \($0)" } ?? condition }
}

/// The state of a delivery: section 3.4, descriptors 0x23 to 0x27.
public enum DeliveryState: Hashable, Sendable {
    case received(sectionNumber: UInt32, sectionOffset: UInt64)
    case accepted
    case rejected(AMQPError?)
    case released
    case modified(deliveryFailed: Bool, undeliverableHere: Bool, annotations: AMQPMap)
    /// A state that this library does not know (a transactional one, for example), as it was read.
    case other(descriptor: AMQPValue, value: AMQPValue)
}
