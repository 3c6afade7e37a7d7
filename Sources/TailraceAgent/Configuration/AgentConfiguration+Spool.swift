internal import TailraceSpool

extension AgentConfiguration {
    /// The main spool, as the agent opens it.
    var mainSpool: SpoolConfiguration {
        var configuration = SpoolConfiguration(directory: places.spool)
        configuration.maximumSize = spool.maximumSize
        configuration.minimumFree = spool.minimumFree
        switch spool.sync {
        case .always: configuration.sync = .always
        case .interval(let interval): configuration.sync = .interval(interval)
        case .never: configuration.sync = .never
        }
        return configuration
    }
}
