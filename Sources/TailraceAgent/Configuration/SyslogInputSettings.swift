package import TailraceInputs

/// `[input.NAME]` of type "syslog".
package struct SyslogInputSettings: Equatable, Sendable {
    /// `udp://HOST:PORT`, `tcp://…`, `tls://…`, `unix:///PATH`, `systemd:NAME`.
    package var listen: [SyslogAddress]
    /// "local", "UTC", "+02:00" or such as "Europe/Berlin": of times that do not tell theirs.
    package var zone = "local"
    /// Addresses, or ranges such as "10.0.0.0/8", of relays: the host that their messages name is taken for the host.
    package var trust: [String] = []
    /// Bytes of a message that are kept; the rest is cut off, and the record marked.
    package var maximumMessage = SyslogConfiguration.defaultMaximumMessage
    /// Bytes of datagrams held in memory while the spool takes none.
    package var buffer = SyslogConfiguration.defaultBuffer
    /// Bytes that the kernel should hold for each socket.
    package var receiveBuffer = SyslogConfiguration.defaultReceiveBuffer
    package var maximumConnections = 1000
    /// A connection without a byte for so long is closed; nil for never.
    package var idleTimeout: Duration? = .seconds(600)
    /// PEM files, for `tls://`.
    package var certificateFile: String?
    package var keyFile: String?
    /// When given, every client must show a certificate from there.
    package var clientAuthorities: String?

    /// As the input takes it.
    func configuration(name: String) -> SyslogConfiguration {
        var configuration = SyslogConfiguration(name: name, listen: listen)
        configuration.zone = LocalZone(zone) ?? .utc
        configuration.trust = trust.compactMap { AddressRange($0) }
        configuration.maximumMessage = maximumMessage
        configuration.buffer = buffer
        configuration.receiveBuffer = receiveBuffer
        configuration.maximumConnections = maximumConnections
        configuration.idleSeconds = idleTimeout.map { max(1, Int($0.components.seconds)) }
        configuration.certificateFile = certificateFile
        configuration.keyFile = keyFile
        configuration.clientAuthorities = clientAuthorities
        return configuration
    }
}
