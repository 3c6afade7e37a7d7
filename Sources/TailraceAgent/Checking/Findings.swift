/// Takes what is found, in its order.
package final class Findings {
    package private(set) var all: [Finding] = []
    private let tell: (Finding) -> Void
    private let tellProgress: (String) -> Void

    /// Of one kind, such as files that cannot be read, at most so many lines.
    static let limit = 20

    /// - Parameters:
    ///   - tell: called for each.
    ///   - progress: called with what is looked at next.
    package init(tell: @escaping (Finding) -> Void = { _ in }, progress: @escaping (String) -> Void = { _ in }) {
        self.tell = tell
        tellProgress = progress
    }

    func begin(_ what: String) { tellProgress(what) }

    func ok(_ subject: String, _ place: String, _ message: String) {
        add(Finding(level: .ok, subject: subject, place: place, message: message))
    }

    func warning(_ subject: String, _ place: String, _ message: String, remedy: String?) {
        add(Finding(level: .warning, subject: subject, place: place, message: message, remedy: remedy))
    }

    func error(_ subject: String, _ place: String, _ message: String, remedy: String?) {
        add(Finding(level: .error, subject: subject, place: place, message: message, remedy: remedy))
    }

    /// - Parameter text: what is wrong and what to do, as our errors have it: behind a semicolon.
    func error(_ subject: String, _ place: String, _ text: String) {
        guard let mark = text.lastRange(of: "; ") else { return error(subject, place, text, remedy: nil) }
        error(subject, place, String(text[..<mark.lowerBound]), remedy: String(text[mark.upperBound...]))
    }

    private func add(_ finding: Finding) {
        all.append(finding)
        tell(finding)
    }

    package var errors: Int { all.count { $0.level == .error } }
    package var warnings: Int { all.count { $0.level == .warning } }

    /// One object; the names are part of the command's contract.
    package func json(configuration: String) -> [UInt8] {
        var json = JSONText()
        json.object { json in
            json.field("configuration", configuration)
            json.field("errors", errors)
            json.field("warnings", warnings)
            json.key("findings")
            json.array(all) { json, finding in finding.write(to: &json) }
        }
        return json.bytes
    }
}

extension String {
    fileprivate func lastRange(of mark: String) -> Range<String.Index>? {
        ranges(of: mark).last
    }
}
