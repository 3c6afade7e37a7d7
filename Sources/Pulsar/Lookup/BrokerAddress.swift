/// A broker, and the host that a connection to it is made with: another one when a proxy is in between.
package struct BrokerAddress: Hashable, Sendable, CustomStringConvertible {
    /// The broker itself.
    package var broker: ServiceURL.Host
    /// Where TCP and TLS end.
    package var host: ServiceURL.Host
    package var usesTLS: Bool

    package init(_ broker: ServiceURL.Host, through host: ServiceURL.Host? = nil, usesTLS: Bool) {
        self.broker = broker
        self.host = host ?? broker
        self.usesTLS = usesTLS
    }

    package var isProxied: Bool { broker != host }

    package var description: String { isProxied ? "\(broker) through \(host)" : "\(broker)" }
}
