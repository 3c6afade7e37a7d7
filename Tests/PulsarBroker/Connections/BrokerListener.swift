internal import NIOCore

/// An address of the cluster.
struct BrokerListener {
    enum Role: Equatable {
        case broker(Int)
        case proxy
    }

    var role: Role
    var usesTLS: Bool
    var channel: any Channel

    /// `host:port`.
    var authority: String {
        let address = channel.localAddress
        let host = address?.ipAddress ?? ""
        return "\(host.contains(":") ? "[\(host)]" : host):\(address?.port ?? 0)"
    }

    var url: String { "\(usesTLS ? "pulsar+ssl" : "pulsar")://\(authority)" }
}
