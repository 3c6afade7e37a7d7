/// What this side announces in `open`, and how it runs the connection.
package struct ConnectionConfiguration: Hashable, Sendable {
    package var containerID: String
    package var hostname: String?
    /// Bytes; the largest frame that this side accepts. At least 512.
    package var maximumFrameSize: UInt32 = 65536
    /// The largest channel number that this side accepts, so one session fewer than it has sessions at most.
    package var channelMax: UInt16 = 255
    /// Milliseconds of the peer's silence after which this side closes; nil: never.
    package var idleTimeOut: UInt32?
    package var properties = AMQPMap()
    package var offeredCapabilities: [String] = []
    package var desiredCapabilities: [String] = []
    /// For sessions that the peer begins.
    package var session = SessionConfiguration()

    package init(containerID: String) { self.containerID = containerID }

    var open: Open {
        var open = Open(containerID: containerID)
        open.hostname = hostname
        open.maxFrameSize = max(512, maximumFrameSize)
        open.channelMax = channelMax
        open.idleTimeOut = idleTimeOut
        open.properties = properties
        open.offeredCapabilities = offeredCapabilities
        open.desiredCapabilities = desiredCapabilities
        return open
    }
}
