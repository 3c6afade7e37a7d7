/// One syslog input.
package struct SyslogConfiguration: Sendable {
    /// The input's name in the configuration.
    package var name: String
    package var listen: [SyslogAddress]
    /// Of times that do not tell theirs.
    package var zone = LocalZone.utc
    /// Relays whose messages count as coming from the host that they name.
    package var trust: [AddressRange] = []
    /// Bytes of a message that are kept.
    package var maximumMessage = Self.defaultMaximumMessage
    /// Bytes of datagrams in memory while the spool does not take them; then they are dropped, and counted.
    package var buffer = Self.defaultBuffer
    /// Bytes that a socket's receive buffer should have.
    package var receiveBuffer = Self.defaultReceiveBuffer
    package var maximumConnections = 1000
    /// Seconds without a byte until a connection is closed; nil for never.
    package var idleSeconds: Int? = 600
    /// PEM files, for `tls://`: the chain of certificates, the key, and whom clients' certificates must come from (nil: no
    /// client needs one).
    package var certificateFile: String?
    package var keyFile: String?
    package var clientAuthorities: String?

    package static let defaultMaximumMessage = 64 << 10
    /// Some properties repeat parts of the message, and all has to fit in a message of 1 MiB.
    package static let maximumMessages: ClosedRange<UInt64> = 480...(960 << 10)
    package static let defaultBuffer = 64 << 20
    package static let buffers: ClosedRange<UInt64> = (4 << 20)...(4 << 30)
    package static let defaultReceiveBuffer = 32 << 20
    package static let receiveBuffers: ClosedRange<UInt64> = (64 << 10)...(1 << 30)
    package static let connectionLimits: ClosedRange<Int64> = 1...100_000

    /// Bytes that a batch must hold beside the longest message: its properties.
    package static let attributeRoom = SyslogWriter.attributeRoom

    package init(name: String, listen: [SyslogAddress]) {
        self.name = name
        self.listen = listen
    }
}
