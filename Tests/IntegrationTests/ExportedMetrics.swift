import TestSupport
import Testing

/// What a real agent exports, as Prometheus reads it.
struct ExportedMetrics {
    let text: String
    /// By name, such as "counter".
    let types: [String: String]
    /// Names with labels, without values.
    let series: [String]

    init(_ text: String) {
        self.text = text
        let lines = text.split(separator: "\n")
        types = Dictionary(
            lines.filter { $0.hasPrefix("# TYPE ") }.map { line in
                let words = line.split(separator: " ")
                return (String(words[2]), String(words[3]))
            }, uniquingKeysWith: { "\($0), and again \($1)" })
        series = lines.filter { !$0.hasPrefix("#") }.map { String($0[..<($0.lastIndex(of: " ") ?? $0.endIndex)]) }
    }

    /// Once the server listens; what never comes is ended by the time limit of whoever runs the tests.
    static func get(_ port: Int) async throws -> ExportedMetrics {
        while true {
            if let reply = PlainHTTP.get("/metrics", port: port), reply.status == 200 {
                return ExportedMetrics(reply.body)
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// The value of a series without labels, or of all that begin so.
    func sum(_ beginning: String) -> Double {
        text.split(separator: "\n").filter { $0.hasPrefix(beginning) }
            .reduce(0) { $0 + (Double($1.split(separator: " ").last ?? "") ?? 0) }
    }

    /// The names of our metrics in an expression of PromQL.
    static func names(in expression: String) -> Set<String> {
        Set(expression.matches(of: /\b(tailrace|process)_[a-z_]+\b/).map { String($0.output.0) })
    }
}
