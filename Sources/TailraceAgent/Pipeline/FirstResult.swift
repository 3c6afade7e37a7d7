extension Sequence {
    /// The first result there is. Each element is asked at most once, which `lazy.compactMap(_:).first` does not promise: it
    /// asks who answered a second time, and traps when the answer is gone by then.
    func firstResult<Result>(of ask: (Element) -> Result?) -> Result? {
        for element in self {
            if let result = ask(element) { return result }
        }
        return nil
    }
}
