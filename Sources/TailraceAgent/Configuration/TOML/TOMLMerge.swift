/// Makes one table of those of several documents.
///
/// Tables merge, whoever wrote their headers first; arrays of tables (`[[…]]`) follow one another; a key that is set in two
/// documents is a problem, also when its value is an inline table or an array.
struct TOMLMerge {
    let sources: ConfigurationSources
    let collector: ProblemCollector

    /// - Parameters:
    ///   - document: with lines of its own, which become those of all.
    ///   - index: of its file.
    func add(_ document: TOMLTable, index: Int, to root: TOMLTable) {
        add(document.moved(by: sources.base(of: index)), to: root, path: [])
    }

    private func add(_ table: TOMLTable, to target: TOMLTable, path: [String]) {
        for entry in table.entries {
            guard let known = target[entry.key] else {
                _ = target.insert(entry)
                continue
            }
            switch (known.node.value, entry.node.value) {
            case (.table(let first), .table(let second)) where first.origin != .inline && second.origin != .inline:
                add(second, to: first, path: path + [entry.key])
            case (.array(let first), .array(let second)) where Self.haveHeaders(first) && Self.haveHeaders(second):
                for element in second {
                    if case .table(let table) = element.value {
                        target.append(table, line: element.line, toArray: entry.key)
                    }
                }
            default:
                let first = sources.place(known.line)
                let place = path.isEmpty ? "" : " in [\(path.joined(separator: "."))]"
                collector.report(
                    line: entry.line,
                    "\"\(SettingsReader.shortened(entry.key))\"\(place) is set twice: first in"
                        + " \(first.file):\(first.line ?? 1)",
                    remedy: "keep one of the two")
            }
        }
    }

    /// Whether an array was written as `[[…]]`.
    private static func haveHeaders(_ elements: [TOMLNode]) -> Bool {
        guard case .table(let table)? = elements.first?.value else { return false }
        return table.origin != .inline
    }
}

extension TOMLTable {
    /// A copy with other lines.
    func moved(by lines: Int) -> TOMLTable {
        let copy = TOMLTable(origin: origin)
        for entry in entries {
            _ = copy.insert(Entry(key: entry.key, line: entry.line + lines, node: entry.node.moved(by: lines)))
        }
        return copy
    }
}

extension TOMLNode {
    fileprivate func moved(by lines: Int) -> TOMLNode {
        switch value {
        case .array(let elements):
            TOMLNode(value: .array(elements.map { $0.moved(by: lines) }), line: line + lines)
        case .table(let table): TOMLNode(value: .table(table.moved(by: lines)), line: line + lines)
        default: TOMLNode(value: value, line: line + lines)
        }
    }
}
