package import NIOCore

extension TimeAmount {
    /// For messages.
    package var text: String {
        nanoseconds % 1_000_000_000 == 0 ? "\(nanoseconds / 1_000_000_000) s" : "\(nanoseconds / 1_000_000) ms"
    }
}

extension Duration {
    /// For messages.
    package var text: String { TimeAmount(self).text }
}
