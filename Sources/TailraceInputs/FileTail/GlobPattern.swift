/// An absolute path pattern such as `/srv/**/*.log`, matched component by component, so that a walk over directories
/// knows which of them can contain matches.
package struct GlobPattern: Equatable, Sendable {
    package let text: String
    let components: [GlobComponent]
    /// The directories before the first wildcard: where a walk begins.
    let base: String

    /// Nil when `text` is not an absolute path.
    package init?(_ text: String) {
        guard text.hasPrefix("/"), !text.hasSuffix("/") else { return nil }
        self.text = text
        components = text.split(separator: "/").map { GlobComponent($0) }
        guard !components.isEmpty else { return nil }
        let literal = components.dropLast().prefix { $0.literal != nil && !$0.isAnyDepth }.compactMap(\.literal)
        base = literal.isEmpty ? "/" : "/" + literal.joined(separator: "/")
    }

    /// How far the pattern is matched by the directories above: indices of the component that comes next.
    struct State: Equatable, Sendable {
        fileprivate(set) var next: [Int]
        var isDead: Bool { next.isEmpty }
    }

    var start: State { closure([0]) }

    /// `**` may also stand for no directory at all.
    private func closure(_ indices: [Int]) -> State {
        var result: [Int] = []
        for index in indices {
            var index = index
            while index < components.count, !result.contains(index) {
                result.append(index)
                guard components[index].isAnyDepth else { break }
                index += 1
            }
        }
        return State(next: result)
    }

    /// The state inside the directory `name`; dead when nothing in it can match.
    func entering(_ name: String, from state: State) -> State {
        var result: [Int] = []
        for index in state.next where index < components.count {
            if components[index].isAnyDepth {
                if !name.hasPrefix(".") { result.append(index) }
            } else if index + 1 < components.count, components[index].matches(name) {
                result.append(index + 1)
            }
        }
        return closure(result)
    }

    /// Whether the file `name` in a directory of this state matches.
    func matchesFile(_ name: String, in state: State) -> Bool {
        state.next.contains { index in
            guard index == components.count - 1 else { return false }
            return components[index].isAnyDepth ? !name.hasPrefix(".") : components[index].matches(name)
        }
    }

    /// Whether directories below one of this state can contain matches.
    func descends(from state: State) -> Bool {
        state.next.contains { components[$0].isAnyDepth || $0 + 1 < components.count }
    }

    /// Whether the absolute `path` of a file matches.
    package func matches(path: String) -> Bool {
        var state = start
        let names = path.split(separator: "/")
        guard let file = names.last else { return false }
        for directory in names.dropLast() {
            state = entering(String(directory), from: state)
            if state.isDead { return false }
        }
        return matchesFile(String(file), in: state)
    }
}

/// A pattern of files to leave out: with a slash it is matched against the whole path, without against the name.
package struct ExcludePattern: Equatable, Sendable {
    private let path: GlobPattern?
    private let name: GlobComponent

    package init(_ text: String) {
        path = text.contains("/") ? GlobPattern(text) : nil
        name = GlobComponent(text.split(separator: "/").last ?? "")
    }

    package func matches(directory: String, name file: String) -> Bool {
        if let path { return path.matches(path: directory + "/" + file) }
        return name.matches(file)
    }
}
