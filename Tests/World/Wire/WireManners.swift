/// How a service and the network to it behave in one life of a world; chances in thousandths.
struct WireManners: Sendable {
    var weather = SimulatedNetwork.Weather()
    /// Per message or batch: refused for now, given back, stored and answered late or never, or cut off before or behind its
    /// storing.
    var refusals = 0
    var delays = 0
    var silences = 0
    var cuts = 0
    /// Per batch: writes wait, and are stored later or lost.
    var stalls = 0
    /// Per link or producer: refused, ended at once, late, never answered, without enough credit.
    var openings = 0
    /// Per token, or question about a topic: refused, late, never answered, sent on.
    var questions = 0
    /// Steps at which the service's process ends.
    var ends: [End] = []
    /// What happens to it besides.
    var events: [Event] = []

    struct End: Sendable {
        var step: Int
        var withPower: Bool
        /// Nanoseconds until it is there again.
        var pause: UInt64
    }

    struct Event: Sendable {
        enum Kind: Sendable {
            /// Another of its machines has the partition from now on; clients may be told which one.
            case move(isTold: Bool)
            /// Those who send to the partition have to begin anew.
            case close
            /// All connections are cut.
            case drop
        }
        var step: Int
        var kind: Kind
        /// Any number: a partition is taken from it, and where that goes.
        var place: Int
    }
}
