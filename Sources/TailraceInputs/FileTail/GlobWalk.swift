import Glibc

/// Counts the files that patterns match now, without opening any: for a check before the agent runs.
package struct GlobWalk: Equatable, Sendable {
    /// Regular files that match and are not left out.
    package private(set) var files = 0
    /// Of those, the ones that this process may not read.
    package private(set) var unreadable: [String] = []
    /// Directories on the way that this process may not look into.
    package private(set) var closed: [String] = []
    /// False when there was more than `maximumEntries` to look at.
    package private(set) var isComplete = true

    /// Names looked at.
    package static let maximumEntries = 200_000
    private static let maximumDepth = 64
    private static let maximumUnreadable = 10
    private var entries = 0

    package init(include: [GlobPattern], exclude: [ExcludePattern]) {
        // One name may match several patterns.
        var seen: Set<String> = []
        for pattern in include {
            walk(pattern.base, pattern, pattern.stateAtBase, exclude, 0, &seen)
        }
        files = seen.count
    }

    private mutating func walk(
        _ directory: String, _ pattern: GlobPattern, _ state: GlobPattern.State, _ exclude: [ExcludePattern],
        _ depth: Int, _ seen: inout Set<String>
    ) {
        guard depth < Self.maximumDepth else { return }
        guard let stream = directory.withSystemPath({ opendir($0) }) else {
            if errno == EACCES, closed.count < Self.maximumUnreadable, !closed.contains(directory) {
                closed.append(directory)
            }
            return
        }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                FileName.text($0.prefix { $0 != 0 })
            }
            if name == "." || name == ".." { continue }
            entries += 1
            guard entries <= Self.maximumEntries else {
                isComplete = false
                return
            }
            let path = directory == "/" ? "/\(name)" : "\(directory)/\(name)"
            guard let file = FileStatus(path: path) else { continue }
            if file.isDirectory {
                let next = pattern.entering(name, from: state)
                // A link to a directory may lead in circles: below "**" it is passed over.
                let isLink = FileStatus(path: path, follow: false)?.isLink ?? false
                if !next.isDead, !(isLink && depth > 8) { walk(path, pattern, next, exclude, depth + 1, &seen) }
            } else if file.isRegular, pattern.matchesFile(name, in: state),
                !exclude.contains(where: { $0.matches(directory: directory, name: name) }), seen.insert(path).inserted,
                path.withSystemPath({ access($0, R_OK) }) != 0, unreadable.count < Self.maximumUnreadable
            {
                unreadable.append(path)
            }
        }
    }
}

extension GlobPattern {
    /// The state inside `base`.
    fileprivate var stateAtBase: State {
        base.split(separator: "/").reduce(start) { entering(String($1), from: $0) }
    }
}
