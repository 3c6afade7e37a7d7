/// What of the agent runs from its start until it is told to stop: an input, or an output.
protocol RunningPart: AnyObject, Sendable, CustomStringConvertible {
    var life: Life { get }

    /// Returns at once. Called once.
    ///
    /// - Parameter ended: called once, when it came to its end without having been told to stop.
    func start(_ ended: @escaping @Sendable (any Error) -> Void)

    /// Asks it to end, which it does within a limit of its own as long as nothing holds it back. Returns at once.
    func stop()
}
